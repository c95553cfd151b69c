// A piece of code: the language's own program reads it as its standard input, so that it is neither in a file nor in an
// argument of the box.

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

}  // namespace

Result<Work> decode_code(const Services& services, const Box& box, const Fields& fields) {
    const std::string code = TRY(fields.required_text("code"));
    const std::string name = TRY(fields.required_text("language"));
    const Language* language = find_language(name);
    if (language == nullptr) return invalid("language: \"" + name + "\" is not one of js, ts, python");
    Work work;
    work.command.argv = language->argv;
    TRY(decode_surroundings(services, box, fields, work.command));
    work.input = TRY_IN("keeping the code", sealed_memory("code", code));
    work.command.without_program = "language: " + name + " needs the program " + language->argv.front() +
                                   ", which image " + box.record.image + " does not have; make the box of image " +
                                   language->image + ", or install it";
    return work;
}

}  // namespace hutch::daemon
