#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "client/format.h"
#include "client/program.h"
#include "client/relay.h"
#include "client/session.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

struct ExecOptions {
    std::string box, folder;
    bool interactive = false;
    bool terminal = false;
    bool detach = false;
    std::optional<unsigned> timeout;  ///< seconds
    std::vector<std::string> shown;   ///< only so that the help names it; see part_arguments
};

Json run_of(const Program& program, const ExecOptions& options) {
    Json run = {{"command", program.command}};
    if (!options.folder.empty()) run["folder"] = options.folder;
    if (options.timeout) run["timeout"] = int64_t{*options.timeout} * 1000;
    return run;
}

/// Prints the run's id.
Result<int> run_detached(const Api& api, const Program& program, const ExecOptions& options) {
    Json run = run_of(program, options);
    run["detach"] = true;
    const Json started = TRY(api.call("POST", box_target(options.box, "/exec-stream"), run));
    return show(printable(text_of(started, "run_id")) + "\n");
}

Result<int> run_interactive(const Api& api, const Program& program, const ExecOptions& options) {
    const WindowSize size = window_size();
    const char* term = getenv("TERM");
    Json hello = run_of(program, options);
    hello["tty"] = options.terminal;
    hello["rows"] = size.rows;
    hello["cols"] = size.columns;
    hello["term"] = term == nullptr || *term == '\0' ? "xterm-256color" : term;

    SessionPlan plan{.target = box_target(options.box, "/exec-tty"), .hello = TRY(dump_json(hello))};
    if (options.interactive) plan.input = SessionPlan::Input::kStdin;
    if (options.interactive && options.terminal && isatty(STDIN_FILENO) == 1)
        plan.terminal = SessionPlan::Terminal::kRaw;
    const SessionEnd end = TRY(run_session(api.endpoint(), plan));
    if (end.signal != 0) return 128 + end.signal;
    return exit_code_of(parse_json(end.final_frame));
}

Result<int> exec(Program& program, const ExecOptions& options) {
    program.failure = kExecFailed;
    if (program.command.empty()) return invalid("exec needs a COMMAND to run in " + options.box);
    const Api api = TRY(program.api());
    if (options.detach) return run_detached(api, program, options);
    const bool session = options.interactive || options.terminal;
    if (session) return run_interactive(api, program, options);
    return run_streaming(api, box_target(options.box, "/exec-stream"), run_of(program, options));
}

}  // namespace

void add_exec_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<ExecOptions>();
    CLI::App* command = add_command(app, "exec",
                                    "Run a command in a box\n\nIts output and exit code become those of hutch; "
                                    "125 means that hutch itself failed.",
                                    "hutch exec web -- npm test\n  hutch exec -it web -- bash");
    add_box(*command, options->box);
    command->add_option("COMMAND", options->shown, "Program and arguments, after `--` if you like");
    command->add_flag("-i,--interactive", options->interactive, "Pass standard input on to the command");
    command->add_flag("-t,--tty", options->terminal, "Give the command a terminal");
    command->add_flag("-d,--detach", options->detach, "Print the run's id and leave it alone; see `hutch attach`")
        ->excludes("-i")
        ->excludes("-t");
    command->add_option("--timeout", options->timeout, "Kill it after that long")
        ->type_name("SECONDS")
        ->check(CLI::Range(1U, 604800U).description(""));
    command->add_option("-w,--workdir", options->folder, "Directory to run it in")->type_name("DIR");
    run_on(command, program, options, exec);
}

}  // namespace hutch::client
