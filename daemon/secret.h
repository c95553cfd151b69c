#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// A new key or token, which nobody can guess: the prefix, and 268 bits of the kernel's random source.
std::string new_secret(const std::string& prefix);
/// What is kept of a key or a token that was made here: its SHA-256 as hexadecimal digits. Nobody can guess them
/// anyway, so a slow hash, which makes guessing what people choose expensive, would only make requests slow.
std::string secret_hash(const std::string& secret);

/// In a time that tells nothing of where they differ.
bool is_same_secret(std::string_view one, std::string_view other);

/// What is in a file of secrets, which must be closed to others than its owner (daemon/trusted_file.h). Errors name the
/// option that names it.
Result<std::string> read_secret(const std::string& option, const std::string& path);

}  // namespace hutch::daemon
