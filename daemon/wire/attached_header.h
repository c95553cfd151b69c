#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// kInvalid, saying why, unless it is a host's name ("api.example.com") or "*." before one, for all names below that,
/// in lower case.
Result<void> check_host_pattern(std::string_view pattern);
/// `name`: in lower case, as Opening::name.
bool matches_host(std::string_view pattern, std::string_view name);

/// kInvalid, saying why, for what is no field of a request (RFC 9110, 5.1 and 5.5), or one that tells how a message is
/// to be read or what its connection is for. It does not repeat the value.
Result<void> check_header(std::string_view name, std::string_view value);

}  // namespace hutch::daemon
