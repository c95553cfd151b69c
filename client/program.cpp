#include "client/program.h"

#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "client/contexts.h"
#include "client/format.h"
#include "client/server_events.h"
#include "client/wording.h"

namespace hutch::client {
namespace {

std::string not_empty(const std::string& text) {
    return text.empty() ? "must not be empty" : "";
}

}  // namespace

// A context's key goes to its own host alone.
Result<Api> Program::api() const {
    const auto chosen = [](std::string said, const std::string& otherwise) { return said.empty() ? otherwise : said; };
    const std::string named = chosen(host, context.empty() ? environment("HUTCH_HOST") : "");
    Context at{named, "", ""};
    if (named.empty()) {
        const Contexts contexts = TRY(Contexts::load());
        at = TRY(contexts.find(chosen(context, contexts.current)));
    }
    return Api({.host = TRY(parse_host(at.host)),
                .api_key = chosen(environment("HUTCH_API_KEY"), at.api_key),
                .ca_file = chosen(ca_file, chosen(environment("HUTCH_CA_FILE"), at.ca_file))});
}

std::string Program::sentence_of(const Error& error) const {
    const auto has = [this](const std::string& name) {
        return called != nullptr && called->get_option_no_throw(name) != nullptr;
    };
    return in_words_of_command(error.message, has);
}

int Program::conclude(const Result<int>& outcome) const {
    if (outcome.ok()) return outcome.value();
    complain(sentence_of(outcome.error()));
    return outcome.error().kind == ErrorKind::kInvalid ? kWrongUsage : failure;
}

void complain(const std::string& sentence) {
    (void)std::fprintf(stderr, "hutch: %s\n", printable(sentence).c_str());
}

Result<int> show(std::string_view text) {
    TRY_IN("standard output", write_all(STDOUT_FILENO, text));
    return 0;
}

// On a terminal without what is not ASCII: among it are control characters, U+0080 to U+009F, which JSON leaves as they
// are.
Result<int> show_json(const Json& value) {
    return show(value.dump(2, ' ', isatty(STDOUT_FILENO) == 1) + "\n");
}

Result<int> show_events(const Api& api, const std::string& target, bool json,
                        const std::function<std::string(const Json& event)>& line) {
    Response response = TRY(api.open({.method = "GET", .target = target}));
    ServerEvents stream;
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) return 0;
        stream.feed(piece);
        std::string lines;
        while (const auto event = stream.next()) {
            lines += json ? passed_on(event->data) + "\n" : line(parse_json(event->data));
        }
        TRY(show(lines));
    }
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
