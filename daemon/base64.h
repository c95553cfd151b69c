#pragma once

#include <string>
#include <string_view>

namespace hutch::daemon {

/// With padding, in one line (RFC 4648, 4).
std::string encode_base64(std::string_view bytes);

}  // namespace hutch::daemon
