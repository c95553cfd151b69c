#include "client/program.h"

#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "client/format.h"

namespace hutch::client {
namespace {

std::string environment(const char* name) {
    const char* value = getenv(name);
    return value == nullptr ? "" : value;
}

std::string not_empty(const std::string& text) {
    return text.empty() ? "must not be empty" : "";
}

}  // namespace

Result<Api> Program::api() const {
    std::string text = host.empty() ? environment("HUTCH_HOST") : host;
    if (text.empty()) text = kDefaultHost;
    return Api({.host = TRY(parse_host(text)),
                .api_key = environment("HUTCH_API_KEY"),
                .ca_file = ca_file.empty() ? environment("HUTCH_CA_FILE") : ca_file});
}

Result<int> show(std::string_view text) {
    TRY_IN("printing", write_all(STDOUT_FILENO, text));
    return 0;
}

// On a terminal without what is not ASCII: among it are control characters, U+0080 to U+009F, which JSON leaves as they
// are.
Result<int> show_json(const Json& value) {
    return show(value.dump(2, ' ', isatty(STDOUT_FILENO) == 1) + "\n");
}

std::string passed_on(const std::string& json) {
    return isatty(STDOUT_FILENO) == 1 ? printable(json) : json;
}

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& example) {
    CLI::App* command = parent.add_subcommand(name, description);
    command->footer("Example:\n  " + example);
    command->group("Commands");
    command->set_help_flag("-h,--help", "Print this help");
    return command;
}

void add_json_flag(CLI::App& command, bool& json) {
    command.add_flag("--json", json, "Print the API's own JSON, for programs");
}

CLI::Option* add_box(CLI::App& command, std::string& box) {
    return command.add_option("BOX", box, "Name or id of the box")->required()->check(not_empty, "");
}

}  // namespace hutch::client
