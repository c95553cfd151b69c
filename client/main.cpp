#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>

#include "client/arguments.h"
#include "client/completion.h"
#include "client/help.h"
#include "client/help_format.h"
#include "client/program.h"
#include "client/wording.h"

namespace hutch::client {
namespace {

/// What the help lists together.
void group_commands(CLI::App& app) {
    const std::pair<const char*, std::vector<const char*>> groups[] = {
        {"Boxes", {"run", "create", "ls", "inspect", "pause", "resume", "fork", "rm", "prune"}},
        {"Work in boxes", {"exec", "shell", "code", "cp", "runs", "attach", "cancel", "schedule", "agent", "git"}},
        {"Snapshots", {"snapshot", "rollback", "diff"}},
        {"Settings", {"image", "label", "env", "headers", "network", "url", "registry"}},
        {"What happens", {"logs", "events", "top", "usage", "df", "bench"}},
        {"Hosts and keys", {"host", "key", "doctor", "version", "context", "completion", "help"}},
    };
    for (const auto& [group, commands] : groups) {
        for (const char* command : commands) app.get_subcommand(command)->group(group);
    }
}

void add_commands(CLI::App& app, Program& program) {
    app.formatter(make_help_formatter());
    app.footer(
        "Examples:\n"
        "  hutch run --rm node -- node -e 'console.log(6 * 7)'\n"
        "  hutch create web --image node\n"
        "  hutch shell web\n"
        "  hutch rm web\n\n"
        "Exit status: 0 if done, 1 if not, 2 if used wrongly; that of run, exec, shell and code\n"
        "is their command's, or 125 if hutch itself failed.\n\n"
        "`hutch COMMAND --help` says more about each.");
    app.set_help_flag("-h,--help", "Print this help");
    app.set_version_flag("--version", "hutch " HUTCH_VERSION, "Print the version of hutch; `hutch version` tells more");
    app.require_subcommand(1);
    CLI::Option* host =
        app.add_option("--host", program.host,
                       "The daemon: unix:///path, https://name:port or http://address:port (HUTCH_HOST,\nelse the "
                       "context in use); HUTCH_API_KEY is sent over the latter two")
            ->type_name("URL");
    app.add_option("--context", program.context, "The daemon of that name (see `hutch context`)")
        ->type_name("CONTEXT")
        ->excludes(host);
    app.add_option("--ca-file", program.ca_file,
                   "Whose certificates to trust over https: a PEM file (HUTCH_CA_FILE,\nelse the system's)")
        ->type_name("FILE");
    add_run_command(app, program);
    add_create_command(app, program);
    add_list_command(app, program);
    add_box_commands(app, program);
    add_remove_commands(app, program);
    add_exec_command(app, program);
    add_code_command(app, program);
    add_copy_command(app, program);
    add_runs_commands(app, program);
    add_schedule_commands(app, program);
    add_agent_command(app, program);
    add_git_commands(app, program);
    add_snapshot_commands(app, program);
    add_image_commands(app, program);
    add_registry_commands(app, program);
    add_label_commands(app, program);
    add_env_commands(app, program);
    add_headers_commands(app, program);
    add_network_command(app, program);
    add_url_commands(app, program);
    add_log_command(app, program);
    add_event_command(app, program);
    add_top_command(app, program);
    add_usage_command(app, program);
    add_df_command(app, program);
    add_bench_command(app, program);
    add_key_commands(app, program);
    add_host_commands(app, program);
    add_fleet_commands(app, program);
    add_context_commands(app, program);
    add_completion_command(app, program);
    add_help_command(app, program);
    group_commands(app);
}

/// The options of `app` that take the next word.
std::vector<std::string> valued_options(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_items_expected_max() == 0) continue;
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
        for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
    return names;
}

/// The command that was called, and how it is called from the program's name on.
std::pair<const CLI::App*, std::string> called_command(const CLI::App& app) {
    const CLI::App* command = &app;
    std::string name = app.get_name();
    while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
    }
    return {command, name};
}

bool is_option(const std::string& word) {
    return word.starts_with('-') && word.size() > 1;
}

/// Says what is wrong, and where the right use can be read.
int complain_usage(const CLI::App& app, const CLI::ParseError& error) {
    const auto [command, name] = called_command(app);
    const std::vector<std::string> unknown = command->remaining();
    std::string sentence = error.what();
    if (command->get_require_subcommand_min() > 0 && unknown.empty() && command->get_subcommands().empty()) {
        sentence = command == &app ? "a COMMAND is missing"
                                   : "after `" + name + "` a command is missing: " + commands_below(*command);
    } else if (command->get_require_subcommand_min() > 0 && !unknown.empty()) {
        sentence = unknown.front().starts_with('-') ? "there is no option " + unknown.front()
                                                    : no_command(*command, name, unknown.front());
    } else if (const auto option = std::find_if(unknown.begin(), unknown.end(), is_option); option != unknown.end()) {
        std::vector<std::string> known;
        for (const CLI::Option* one : command->get_options()) {
            for (const std::string& text : one->get_lnames()) known.push_back("--" + text);
        }
        const std::string word = option->substr(0, option->find('='));
        const std::string meant = meant_by(word, known);
        sentence = "there is no option " + word + (meant.empty() ? "" : "; did you mean " + meant + "?");
    }
    complain(sentence + " (see `" + name + " --help`)");
    return kWrongUsage;
}

/// Where one of the three standard streams is closed, the next file that is opened would be taken for it. What is put
/// in its place can be read, and is at its end; who writes to it is told so.
void fill_standard_streams() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)open("/dev/null", O_RDONLY);
    }
}

int run(int argc, char** argv) {
    fill_standard_streams();
    Program program;
    CLI::App app("Gives untrusted work its own computer on a Linux host of yours: boxes.", "hutch");
    add_commands(app, program);

    std::vector<Verb> verbs;
    for (const char* name : {"exec", "run"}) verbs.push_back({name, valued_options(*app.get_subcommand(name))});
    verbs.push_back({.name = "schedule", .after_dashes = true});
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (!words.empty() && words.front() == "__complete") {
        return program.conclude(show(completions(app, program, std::span(words).subspan(1))));
    }
    Arguments arguments = part_arguments(words, valued_options(app), verbs);
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
    program.called = called_command(app).first;
    return program.conclude(program.action());
}

}  // namespace
}  // namespace hutch::client

// Whatever is thrown by a library is caught here, so that the stack is unwound and the terminal restored.
int main(int argc, char** argv) {
    try {
        return hutch::client::run(argc, argv);
    } catch (const std::exception& error) {
        hutch::client::complain(std::string("unexpected: ") + error.what());
        return 1;
    }
}
