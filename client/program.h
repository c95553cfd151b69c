#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/api.h"

namespace hutch::client {

/// What exec and attach end with when hutch itself failed: as docker does it, so that scripts can tell our failure from
/// the command's.
constexpr int kExecFailed = 125;

/// One call of the program: what all commands share. Parsing sets `action`; main runs it and turns its error into
/// `hutch: <sentence>` and an exit code: 2 for kInvalid (wrong usage), else `failure`.
struct Program {
    std::string host;                  ///< --host; empty: see `context`
    std::string context;               ///< --context; empty: HUTCH_HOST, then the context in use
    std::string ca_file;               ///< --ca-file; empty: HUTCH_CA_FILE, then the context's
    std::vector<std::string> command;  ///< the words after `exec BOX`, and the like
    std::function<Result<int>()> action;
    int failure = 1;
    const CLI::App* called = nullptr;  ///< the command, once that is known

    [[nodiscard]] Result<Api> api() const;
    /// What an error says, in words of the command's own options.
    [[nodiscard]] std::string sentence_of(const Error& error) const;
    /// The exit code, after the error is said.
    [[nodiscard]] int conclude(const Result<int>& outcome) const;
};

/// What a command that was used wrongly ends with.
constexpr int kWrongUsage = 2;
/// `hutch: <sentence>` on standard error.
void complain(const std::string& sentence);

/// Writes to standard output; the exit code of a command that ends with that is 0.
Result<int> show(std::string_view text);
Result<int> show_json(const Json& value);
/// Prints what a call that is followed tells, until it ends: of each event its data, as `line` has it or as it came.
Result<int> show_events(const Api& api, const std::string& target, bool json,
                        const std::function<std::string(const Json& event)>& line);
/// JSON as the daemon sent it, for standard output. A terminal gets it without the control characters that JSON allows.
std::string passed_on(const std::string& json);

/// A command of `parent` with its help text and one example, which stands below the options.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& example);
/// The --json flag, the same everywhere.
void add_json_flag(CLI::App& command, bool& json);
/// A required positional that names a box (shell completion offers box names for it).
CLI::Option* add_box(CLI::App& command, std::string& box);

/// What the command does when it is the one called.
template <typename Options, typename Act>
void run_on(CLI::App* command, Program& program, std::shared_ptr<Options> options, Act act) {
    command->callback(
        [&program, options, act] { program.action = [&program, options, act] { return act(program, *options); }; });
}

// Each adds its commands to the tree. `program` must outlive `app`.
void add_box_commands(CLI::App& app, Program& program);
void add_env_commands(CLI::App& app, Program& program);
void add_headers_commands(CLI::App& app, Program& program);
void add_git_commands(CLI::App& app, Program& program);
void add_network_command(CLI::App& app, Program& program);
void add_url_commands(CLI::App& app, Program& program);
void add_key_commands(CLI::App& app, Program& program);
void add_label_commands(CLI::App& app, Program& program);
void add_runs_commands(CLI::App& app, Program& program);
void add_schedule_commands(CLI::App& app, Program& program);
void add_usage_command(CLI::App& app, Program& program);
void add_df_command(CLI::App& app, Program& program);
void add_bench_command(CLI::App& app, Program& program);
void add_agent_command(CLI::App& app, Program& program);
void add_snapshot_commands(CLI::App& app, Program& program);
void add_event_command(CLI::App& app, Program& program);
void add_create_command(CLI::App& app, Program& program);
void add_list_command(CLI::App& app, Program& program);
void add_remove_commands(CLI::App& app, Program& program);
void add_log_command(CLI::App& app, Program& program);
void add_top_command(CLI::App& app, Program& program);
void add_run_command(CLI::App& app, Program& program);
void add_exec_command(CLI::App& app, Program& program);
void add_code_command(CLI::App& app, Program& program);
void add_copy_command(CLI::App& app, Program& program);
void add_image_commands(CLI::App& app, Program& program);
void add_image_pull(CLI::App& image, Program& program);
void add_registry_commands(CLI::App& app, Program& program);
void add_fleet_commands(CLI::App& app, Program& program);
void add_host_commands(CLI::App& app, Program& program);
void add_context_commands(CLI::App& app, Program& program);
void add_completion_command(CLI::App& app, Program& program);
void add_help_command(CLI::App& app, Program& program);

}  // namespace hutch::client
