#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::client {

/// What follows an instruction up to a line of its own name.
struct Heredoc {
    std::string name;
    std::string content;
    bool expands = true;  ///< its name was not quoted
};

struct Flag {
    std::string name;  ///< without "--"
    std::string value;
};

struct Instruction {
    unsigned line = 0;  ///< where it begins, from 1
    std::string name;   ///< in upper case
    std::vector<Flag> flags{};
    std::string text{};  ///< what follows the flags, as one line
    std::vector<Heredoc> heredocs{};

    /// The last of that name; "" without one.
    [[nodiscard]] std::string flag(std::string_view name) const;
};

/// A Containerfile (or Dockerfile) in its instructions. What the words mean is not looked at here.
struct Containerfile {
    std::string name;  ///< as errors call it
    char escape = '\\';
    std::vector<Instruction> instructions{};

    /// "Containerfile:12: sentence"
    [[nodiscard]] Error at(unsigned line, const std::string& sentence) const;
    [[nodiscard]] Error at(unsigned line, const Error& error) const;
};

/// At most 1 MiB of text and 10,000 instructions. kInvalid names the line, and says what to do: of an instruction or a
/// flag that is not known, too.
Result<Containerfile> parse_containerfile(const std::string& name, std::string_view text);

}  // namespace hutch::client
