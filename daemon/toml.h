#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hutch::daemon {

/// How TOML writes a value.
enum class TomlType { kText, kNumber, kFlag };

/// NAME = VALUE, the only kind of line that the configuration has beside comments.
struct TomlEntry {
    size_t line = 0;  ///< counted from 1
    std::string name;
    TomlType type = TomlType::kText;
    std::string value;  ///< without its quotes, its escapes taken out; a number without its underscores
};

struct TomlProblem {
    size_t line = 0;
    std::string what;  ///< says what is wrong and what is allowed
};

struct TomlFile {
    std::vector<TomlEntry> entries;
    std::vector<TomlProblem> problems;
};

/// Reads the part of TOML (toml.io/en/v1.0.0) that a list of options needs: text on one line, numbers, true and false.
/// Everything else is a problem, and so is what is no TOML. Reads on behind a problem, so that all are told at once.
TomlFile parse_toml(std::string_view text);

/// The text as TOML writes it, in quotes.
std::string toml_quoted(std::string_view text);

}  // namespace hutch::daemon
