#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace hutch::client {

enum class Shell { kBash, kZsh, kFish };

/// A script that completes the commands, options and boxes of `app`, made from its tree so that it knows what the
/// program knows. An argument called BOX is completed with box names, SRC and DST with these and files.
std::string completion_script(const CLI::App& app, Shell shell);

}  // namespace hutch::client
