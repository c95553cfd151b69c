#include <unistd.h>

#include <ctime>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/run_output.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct RunsOptions {
    std::string box, run;
    bool json = false;
};
using Options = std::shared_ptr<RunsOptions>;

std::string run_target(const RunsOptions& options, const std::string& rest = "") {
    return box_target(options.box, "/runs/" + percent_encode(options.run) + rest);
}

Tone tone_of_run(const std::string& status) {
    if (status == "running") return Tone::kActive;
    return status == "completed" || status == "waiting" ? Tone::kPlain : Tone::kBad;
}

std::string shortened(const std::string& text, size_t most) {
    return text.size() <= most ? text : text.substr(0, most - 3) + "...";
}

Result<int> list(const Program& program, const RunsOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(box_target(options.box, "/runs")));
    if (options.json) return show_json(answer);
    Table table({"ID", "STATUS", "AGE", "TOOK", "CPU", "COMMAND"});
    for (const Json& run : array_of(answer, "runs")) {
        const std::string status = run.contains("waits_for") ? "waiting" : text_of(run, "status");
        table.add({text_of(run, "id"),
                   {status, tone_of_run(status)},
                   format_duration(time(nullptr) - integer_of(run, "created_at")),
                   format_duration(integer_of(run, "duration_ms") / 1000),
                   format_cpu(count_of(run, "cpu_ns")),
                   shortened(text_of(run, "prompt"), 60)});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

// What is kept of the output, then the rest as it comes.
Result<int> attach(Program& program, const RunsOptions& options) {
    program.failure = kExecFailed;
    const Api api = TRY(program.api());
    const Json before = TRY(api.get(run_target(options)));
    const RunPlace begin{.box = options.box,
                         .run = options.run,
                         .output = count_of(object_of(before, "output_kept"), "begin"),
                         .errors = count_of(object_of(before, "errors_kept"), "begin")};
    const Json ending = TRY(RunOutput(api, begin, nullptr).follow());
    return TRY_IN("run " + options.run, exit_code_of(ending, "run " + options.run));
}

Result<int> cancel(const Program& program, const RunsOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("POST", run_target(options, "/cancel")));
    return 0;
}

}  // namespace

void add_runs_commands(CLI::App& app, Program& program) {
    const auto add = [&](const char* name, const char* description, const char* example) {
        CLI::App* command = add_command(app, name, description, example);
        auto options = std::make_shared<RunsOptions>();
        add_box(*command, options->box);
        return std::pair(command, options);
    };
    const auto [runs, listed] = add("runs", "List what was run in a box, newest first", "hutch runs web");
    add_json_flag(*runs, listed->json);
    run_on(runs, program, listed, list);
    const auto [attached, followed] =
        add("attach", "Show what a run has said and follow it to its end\n\nThe run's exit code becomes that of hutch.",
            "hutch attach web l7lrqr1dcaslkt");
    attached->add_option("RUN", followed->run, "Its id, of `hutch runs` or `hutch exec --detach`")->required();
    run_on(attached, program, followed, attach);
    const auto [cancelled, ended] =
        add("cancel", "Kill a run with all that it started", "hutch cancel web l7lrqr1dcaslkt");
    cancelled->add_option("RUN", ended->run, "Its id, of `hutch runs`")->required();
    run_on(cancelled, program, ended, cancel);
}

}  // namespace hutch::client
