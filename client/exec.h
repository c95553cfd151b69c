#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/program.h"

namespace hutch::client {

/// A command for a box, and what is said of it beside its words.
struct ExecOptions {
    std::string box, folder, user;
    std::vector<std::string> env;  ///< NAME=VALUE, or NAME of our own environment
    bool interactive = false;
    bool terminal = false;
    bool detach = false;
    std::optional<unsigned> timeout;  ///< seconds
    std::vector<std::string> shown;   ///< only so that the help names it; see part_arguments
};

/// COMMAND and the options but --env, of every command that runs one.
void add_exec_options(CLI::App& command, ExecOptions& options);
/// Runs `words` to their end, whose exit code is the answer; without words, on a terminal, a shell.
Result<int> exec_in_box(const Api& api, const std::vector<std::string>& words, const ExecOptions& options);
/// Starts them, and answers the run's id.
Result<std::string> start_in_box(const Api& api, const std::vector<std::string>& words, const ExecOptions& options);

}  // namespace hutch::client
