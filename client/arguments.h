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

/// A command of ours whose last words are one for a box: `exec BOX`, `run IMAGE`.
struct Verb {
    std::string name;
    std::vector<std::string> valued{};  ///< its options whose value is the next word: "-w", "--workdir"
    bool after_dashes = false;          ///< its command begins after a `--`, and never before
};

/// After such a verb and its first argument (or after a `--`, where that is its way) every word belongs to the command
/// in the box, whatever it looks like; one
/// `--` in between is dropped. Done before the option parser, which would take `ls` for our own subcommand and `[a]`
/// for a list. `valued` are the options before the verb whose value is the next word. Other commands: everything is
/// `own`.
Arguments part_arguments(std::span<const std::string> words, std::span<const std::string> valued,
                         std::span<const Verb> verbs);

}  // namespace hutch::client
