#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hutch::client {

/// A command line parted into hutch's own words and the command to run in a box.
struct Arguments {
    std::vector<std::string> own;
    std::vector<std::string> command;
};

/// After `exec` and its BOX every word belongs to the command in the box, whatever it looks like; one `--` in between
/// is dropped. Done before the option parser, which would take `ls` for our own subcommand and `[a]` for a list.
/// `valued` are the options before BOX whose value is the next word. Other commands: everything is `own`.
Arguments part_arguments(std::span<const std::string> words, std::span<const std::string_view> valued);

}  // namespace hutch::client
