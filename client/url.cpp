#include <unistd.h>

#include <ctime>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

struct UrlOptions {
    std::string box;
    uint16_t port = 0;
    bool bearer = false;
    bool basic = false;
    bool json = false;
};

std::string preview_target(const UrlOptions& options, const std::string& rest = "") {
    return box_target(options.box, "/preview" + rest);
}

// What opens it is told this once.
Result<int> add_url(const Program& program, const UrlOptions& options) {
    const Api api = TRY(program.api());
    Json wanted{{"port", options.port}};
    if (options.bearer) wanted["bearer_token"] = true;
    if (options.basic) wanted["basic_auth"] = true;
    const Json made = TRY(api.call("POST", preview_target(options), wanted));
    if (options.json) return show_json(made);
    std::string lines = printable(text_of(made, "url")) + "\n";
    for (const char* field : {"token", "username", "password"}) {
        const std::string value = text_of(made, field);
        if (!value.empty()) lines += std::string(field) + ": " + printable(value) + "\n";
    }
    return show(lines);
}

Result<int> remove_url(const Program& program, const UrlOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", preview_target(options, "/" + std::to_string(options.port))));
    return 0;
}

std::string opened_by(const Json& url) {
    const bool bearer = flag_of(url, "bearer_token");
    const bool basic = flag_of(url, "basic_auth");
    return bearer && basic ? "token or password" : bearer ? "token" : basic ? "password" : "anybody";
}

Result<int> list_urls(const Program& program, const UrlOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(preview_target(options)));
    if (options.json) return show_json(answer);
    Table table({"PORT", "URL", "OPENED BY", "AGE"});
    for (const Json& url : array_of(answer, "previews")) {
        const std::string age = format_duration(time(nullptr) - integer_of(url, "created_at"));
        table.add({std::to_string(integer_of(url, "port")), text_of(url, "url"), opened_by(url), age});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

Result<int> show_url(const Program& program, const UrlOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(preview_target(options)));
    for (const Json& url : array_of(answer, "previews")) {
        if (integer_of(url, "port") != options.port) continue;
        return options.json ? show_json(url) : show(printable(text_of(url, "url")) + "\n");
    }
    const std::string port = std::to_string(options.port);
    return Error{ErrorKind::kNotFound, 0,
                 "port " + port + " has no public URL; `hutch url add " + options.box + " " + port + "` makes one"};
}

CLI::Option* add_port(CLI::App& command, uint16_t& port) {
    return command.add_option("PORT", port, "Of the server in the box, from 1 to 65535")
        ->check(CLI::Range(1, UINT16_MAX).description(""));
}

}  // namespace

void add_url_commands(CLI::App& app, Program& program) {
    CLI::App* url = add_command(app, "url",
                                "Public URLs of servers in a box; with BOX and PORT: print one\n\nWhoever has the URL "
                                "reaches that port, unless it asks for a token or a\npassword. A request wakes the "
                                "box. It lasts until it is taken back, or\nthe box is deleted.",
                                "hutch url web 3000");
    const auto options = std::make_shared<UrlOptions>();
    url->require_subcommand(0, 1);
    add_box(*url, options->box)->required(false);
    add_port(*url, options->port);
    add_json_flag(*url, options->json);
    url->callback([&program, options, url] {
        if (!url->get_subcommands().empty()) return;
        program.action = [&program, options]() -> Result<int> {
            if (options->port == 0) return invalid("say BOX and PORT, or one of add, ls and rm");
            return show_url(program, *options);
        };
    });

    CLI::App* command =
        add_command(*url, "add", "Publish a port, in place of its earlier URL", "hutch url add web 3000 --bearer");
    add_box(*command, options->box);
    add_port(*command, options->port)->required();
    command->add_flag("--bearer", options->bearer, "Ask for a token, which is printed this once");
    command->add_flag("--basic", options->basic, "Ask for a name and a password, which are printed this once");
    add_json_flag(*command, options->json);
    run_on(command, program, options, add_url);

    command = add_command(*url, "ls", "List the public URLs of a box", "hutch url ls web");
    add_box(*command, options->box);
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_urls);

    command = add_command(*url, "rm", "Take a public URL back, and cut its connections", "hutch url rm web 3000");
    add_box(*command, options->box);
    add_port(*command, options->port)->required();
    run_on(command, program, options, remove_url);
}

}  // namespace hutch::client
