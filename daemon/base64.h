#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// With padding, in one line (RFC 4648, 4).
std::string encode_base64(std::string_view bytes);
/// With padding; nothing for what is none.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace hutch::daemon
