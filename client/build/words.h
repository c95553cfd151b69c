#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hutch::client {

/// What a variable of a Containerfile stands for; nothing for one that is not set.
using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

/// What an expanded word may come to: the kernel gives a program no longer one (MAX_ARG_STRLEN).
constexpr size_t kMostExpanded = 128 * 1024;

/// `text` with its variables in place ($X ${X} ${X:-d} ${X-d} ${X:+d} ${X+d} ${X:?why}), quotes and `escape` taken
/// away, as docker does it in every instruction but RUN, CMD and ENTRYPOINT. Nothing is expanded within '...'.
Result<std::string> expand(std::string_view text, const Lookup& lookup, char escape);

/// Parts at white space that is neither quoted nor escaped; the words keep their quotes.
std::vector<std::string> split_words(std::string_view text, char escape);
/// Parts at white space, whatever is quoted.
std::vector<std::string> split_blanks(std::string_view text);
/// The exec form: a JSON array of strings. Nothing for a text that is none.
std::optional<std::vector<std::string>> exec_form(std::string_view text);

using Pair = std::pair<std::string, std::string>;
/// `NAME=VALUE NAME=VALUE ...`, or `NAME VALUE` of before there were many; neither is expanded.
Result<std::vector<Pair>> split_pairs(std::string_view text, char escape);

/// Without the white space around it.
std::string_view trimmed(std::string_view text);
/// A name that a variable may have in a Containerfile.
bool is_variable_name(std::string_view name);

}  // namespace hutch::client
