#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::netns {

/// Names of hosts, and lists of those that a box may talk to. Pure.

/// The one spelling of a host's name: lower case, without the dot at its end. Labels of letters, digits, "-" and "_",
/// at most 63 long and 253 together; other alphabets as "xn--" (RFC 5890). Nothing for what is no such name: an
/// address, too.
std::optional<std::string> host_name(std::string_view text);

/// Of a list: a name, or "*.SUFFIX" for all names below it, however deep, and not itself. In its one spelling; kInvalid
/// names the text.
Result<std::string> parse_domain(const std::string& text);

/// Whether one of the list, as parse_domain() gives them, means `name`, as host_name() gives it.
bool is_listed(const std::vector<std::string>& domains, std::string_view name);

}  // namespace hutch::netns
