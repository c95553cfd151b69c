#include <cstdio>
#include <exception>

#include "client/arguments.h"
#include "client/format.h"
#include "client/help.h"
#include "client/program.h"

namespace hutch::client {
namespace {

constexpr int kWrongUsage = 2;

int complain(const std::string& sentence, int code) {
    std::fprintf(stderr, "hutch: %s\n", printable(sentence).c_str());
    return code;
}

void add_commands(CLI::App& app, Program& program) {
    app.formatter(make_help_formatter());
    app.footer(
        "Examples:\n"
        "  hutch create web --image node\n"
        "  hutch exec -it web -- bash\n"
        "  hutch rm web\n\n"
        "Exit status: 0 if done, 1 if not, 2 if used wrongly; that of exec is its command's,\n"
        "or 125 if hutch itself failed.\n\n"
        "`hutch COMMAND --help` says more about each.");
    app.set_help_flag("-h,--help", "Print this help");
    app.require_subcommand(1);
    app.add_option("--host", program.host,
                   "The daemon: unix:///path, https://name:port or http://address:port (HUTCH_HOST,\nelse " +
                       std::string(kDefaultHost) + "); HUTCH_API_KEY is sent over the latter two")
        ->type_name("URL");
    app.add_option("--ca-file", program.ca_file,
                   "Whose certificates to trust over https: a PEM file (HUTCH_CA_FILE,\nelse the system's)")
        ->type_name("FILE");
    add_box_commands(app, program);
    add_exec_command(app, program);
    add_code_command(app, program);
    add_run_commands(app, program);
    add_usage_command(app, program);
    add_df_command(app, program);
    add_agent_command(app, program);
    add_snapshot_commands(app, program);
    add_git_commands(app, program);
    add_network_command(app, program);
    add_label_commands(app, program);
    add_env_commands(app, program);
    add_key_commands(app, program);
    add_event_command(app, program);
    add_copy_command(app, program);
    add_image_commands(app, program);
    add_host_commands(app, program);
    add_completion_command(app, program);
}

/// The options of `app` that take the next word.
void collect_valued(const CLI::App& app, std::vector<std::string>& names) {
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_items_expected_max() == 0) continue;
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
        for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
}

/// Says what is wrong, and where the right use can be read.
int complain_usage(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* command = &app;
    std::string name = app.get_name();
    while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
    }
    const std::vector<std::string> unknown = command->remaining();
    std::string sentence = error.what();
    if (command->get_require_subcommand_min() > 0 && !unknown.empty()) {
        sentence = "there is no command \"" + unknown.front() + '"';
    }
    return complain(sentence + " (see `" + name + " --help`)", kWrongUsage);
}

int run(int argc, char** argv) {
    Program program;
    CLI::App app("Gives untrusted work its own computer on a Linux host of yours: boxes.", "hutch");
    add_commands(app, program);

    std::vector<std::string> valued;
    collect_valued(app, valued);
    collect_valued(*app.get_subcommand("exec"), valued);
    const std::vector<std::string_view> options(valued.begin(), valued.end());
    const std::vector<std::string> words(argv + 1, argv + argc);
    Arguments arguments = part_arguments(words, options);
    program.command = std::move(arguments.command);
    if (words.empty()) {
        std::fputs(app.help().c_str(), stderr);
        return kWrongUsage;
    }
    try {
        app.parse(std::vector<std::string>(arguments.own.rbegin(), arguments.own.rend()));  // it wants them reversed
    } catch (const CLI::Success& asked_for_help) {
        return app.exit(asked_for_help);
    } catch (const CLI::ParseError& error) {
        return complain_usage(app, error);
    }
    const Result<int> outcome = program.action();
    if (outcome.ok()) return outcome.value();
    return complain(outcome.error().message,
                    outcome.error().kind == ErrorKind::kInvalid ? kWrongUsage : program.failure);
}

}  // namespace
}  // namespace hutch::client

// Whatever is thrown by a library is caught here, so that the stack is unwound and the terminal restored.
int main(int argc, char** argv) {
    try {
        return hutch::client::run(argc, argv);
    } catch (const std::exception& error) {
        return hutch::client::complain(std::string("unexpected: ") + error.what(), 1);
    }
}
