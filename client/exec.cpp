#include "client/exec.h"

#include <unistd.h>

#include <cstdlib>

#include "client/format.h"
#include "client/relay.h"
#include "client/run_output.h"
#include "client/session.h"
#include "client/settings.h"
#include "client/shell_words.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

Result<Json> run_of(const std::vector<std::string>& words, const ExecOptions& options) {
    Json run = {{"command", words}};
    if (!options.folder.empty()) run["folder"] = options.folder;
    if (!options.user.empty()) run["user"] = options.user;
    if (!options.env.empty()) run["env"] = TRY(variables_of("--env", options.env));
    if (options.timeout) run["timeout"] = int64_t{*options.timeout} * 1000;
    return run;
}

Result<int> run_interactive(const Api& api, Json hello, const ExecOptions& options) {
    const WindowSize size = window_size();
    const char* term = getenv("TERM");
    hello["tty"] = options.terminal;
    hello["rows"] = size.rows;
    hello["cols"] = size.columns;
    hello["term"] = term == nullptr || *term == '\0' ? "xterm-256color" : term;

    SessionPlan plan{.target = box_target(options.box, "/exec-tty"), .hello = {}};
    if (options.interactive) plan.input = SessionPlan::Input::kStdin;
    if (options.interactive && options.terminal && isatty(STDIN_FILENO) == 1)
        plan.terminal = SessionPlan::Terminal::kRaw;
    if (!options.terminal && !outputs_are_one()) {
        hello["errors"] = "separate";
        plan.errors = SessionPlan::Errors::kApart;
    }
    plan.hello = TRY(dump_json(hello));
    const SessionEnd end = TRY(run_session(api.endpoint(), plan));
    if (end.signal != 0) return 128 + end.signal;
    const Json ending = parse_json(end.final_frame);
    return end.interrupted ? exit_code_of(ending) : exit_code_of(ending, hello["command"].front().get<std::string>());
}

Result<int> exec(Program& program, const ExecOptions& options) {
    program.failure = kExecFailed;
    const Api api = TRY(program.api());
    if (!options.detach) return exec_in_box(api, program.command, options);
    return show(printable(TRY(start_in_box(api, program.command, options))) + "\n");
}

// On a terminal if we have one, so that a script may be its input as well.
Result<int> shell(Program& program, ExecOptions options) {
    program.failure = kExecFailed;
    options.interactive = true;
    options.terminal = isatty(STDIN_FILENO) == 1;
    return exec_in_box(TRY(program.api()), words_of_shell(), options);
}

void add_env(CLI::App& command, ExecOptions& options) {
    command.add_option("-e,--env", options.env, "Variable for it; NAME alone: as it is here; may be repeated")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
}

void add_place(CLI::App& command, ExecOptions& options) {
    command.add_option("-u,--user", options.user, "Who it runs as; else the image's user")->type_name("USER");
    command.add_option("-w,--workdir", options.folder, "Directory to run it in")->type_name("DIR");
}

}  // namespace

void add_exec_options(CLI::App& command, ExecOptions& options) {
    command.add_option("COMMAND", options.shown, "Program and arguments, after `--` if you like; -it without: a shell");
    command.add_flag("-i,--interactive", options.interactive, "Pass standard input on to the command");
    command.add_flag("-t,--tty", options.terminal, "Give the command a terminal");
    command.add_flag("-d,--detach", options.detach, "Print the run's id and leave it alone; see `hutch attach`")
        ->excludes("-i")
        ->excludes("-t");
    command.add_option("--timeout", options.timeout, "Kill it after that long")
        ->type_name("SECONDS")
        ->check(CLI::Range(1U, 604800U).description(""));
    add_place(command, options);
}

Result<int> exec_in_box(const Api& api, const std::vector<std::string>& words, const ExecOptions& options) {
    const bool on_terminal = options.interactive && options.terminal;
    if (words.empty() && !on_terminal) return invalid("a COMMAND to run in " + options.box + " is missing");
    const Json run = TRY(run_of(words.empty() ? words_of_shell() : words, options));
    if (options.interactive || options.terminal) return run_interactive(api, run, options);
    return run_streaming(api, options.box, "exec-stream", run, words.front());
}

Result<std::string> start_in_box(const Api& api, const std::vector<std::string>& words, const ExecOptions& options) {
    if (words.empty()) return invalid("a COMMAND to run in " + options.box + " is missing");
    Json run = TRY(run_of(words, options));
    run["detach"] = true;
    return text_of(TRY(api.call("POST", box_target(options.box, "/exec"), run)), "run_id");
}

void add_exec_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<ExecOptions>();
    CLI::App* command = add_command(app, "exec",
                                    "Run a command in a box\n\nIts output and exit code become those of hutch; "
                                    "125 means that hutch itself failed.\nAn interruption (Ctrl-C) is the command's; "
                                    "the second kills it.",
                                    "hutch exec web -- npm test\n  hutch exec -it web -- python3");
    add_box(*command, options->box);
    add_exec_options(*command, *options);
    add_env(*command, *options);
    run_on(command, program, options, exec);

    const auto opened = std::make_shared<ExecOptions>();
    command = add_command(app, "shell",
                          "Open a shell in a box: bash, or sh where there is none\n\nThe same as "
                          "`hutch exec -it BOX`; its exit code becomes that of hutch.",
                          "hutch shell web");
    add_box(*command, opened->box);
    add_env(*command, *opened);
    add_place(*command, *opened);
    run_on(command, program, opened, shell);
}

}  // namespace hutch::client
