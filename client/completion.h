#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>

#include "client/program.h"

namespace hutch::client {

enum class Shell { kBash, kZsh, kFish };

/// A script that asks `hutch __complete WORD...` for what may come next.
std::string completion_script(Shell shell);

/// What `hutch __complete` prints: what the last of `words`, which is not whole yet, may become, a word with its
/// description a line; ":files" stands for what the shell knows better. `words` are those after the program's name.
/// Where no daemon answers, what only it knows is left out.
std::string completions(const CLI::App& app, Program& program, std::span<const std::string> words);

}  // namespace hutch::client
