// A piece of code: the language's own program reads it as its standard input, so that it is neither in a file nor in an
// argument of the box.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

struct Language {
    const char* name;
    std::vector<std::string> argv;
    const char* image;  ///< that has the program
};

const Language* find_language(const std::string& name) {
    static const Language kLanguages[] = {
        {"js", {"node", "-"}, "node"},
        {"ts", {"node", "--no-warnings", "--experimental-strip-types", "-"}, "node"},
        {"python", {"python3", "-"}, "python"},
    };
    for (const Language& language : kLanguages) {
        if (name == language.name) return &language;
    }
    return nullptr;
}

/// Sealed, so that what is run is what was sent. Never blocks, whatever its size.
Result<UniqueFd> input_of(const std::string& text) {
    UniqueFd file(memfd_create("code", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) return errno_error("keeping the code");
    TRY_IN("keeping the code", write_all(file.get(), text));
    if (lseek(file.get(), 0, SEEK_SET) != 0 ||
        fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        return errno_error("keeping the code");
    }
    return file;
}

}  // namespace

Result<Work> decode_code(const Services& services, const Box& box, const Fields& fields) {
    const std::string code = TRY(fields.required_text("code"));
    const std::string name = TRY(fields.required_text("language"));
    const Language* language = find_language(name);
    if (language == nullptr) return invalid("language: \"" + name + "\" is not one of js, ts, python");
    Work work;
    work.command.argv = language->argv;
    TRY(decode_surroundings(services, box, fields, work.command));
    work.input = TRY(input_of(code));
    work.without_program = "language: " + name + " needs the program " + language->argv.front() + ", which image " +
                           box.record.image + " does not have; make the box with runtime " + language->image +
                           ", or install it";
    return work;
}

}  // namespace hutch::daemon
