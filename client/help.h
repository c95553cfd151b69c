#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch::client {

/// The help of the command that `words` name below `app`; none: of `app` itself. kInvalid, with what may have been
/// meant.
Result<std::string> help_of(const CLI::App& app, const std::vector<std::string>& words);
/// The commands of `parent` that its help lists.
std::vector<const CLI::App*> shown_commands(const CLI::App& parent);
/// "ls, set, unset": their names.
std::string commands_below(const CLI::App& parent);
/// "there is no command \"lss\"; did you mean `hutch ls`?"
std::string no_command(const CLI::App& parent, const std::string& path, const std::string& word);

}  // namespace hutch::client
