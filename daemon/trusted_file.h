#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"

namespace hutch::daemon {

/// What is in a file that the operator named, and that nobody but root (or the user that hutchd runs as) can have
/// written: a regular file of that owner, with no bit of `forbidden` in its mode, in directories that nobody else may
/// change. kInvalid, with the path and the mending command, if it is not.
Result<std::string> read_trusted(const std::string& path, mode_t forbidden);

constexpr mode_t kOthersMayWrite = 022;
constexpr mode_t kOthersMayLook = 077;     ///< or write
constexpr mode_t kEverybodyMayLook = 027;  ///< or write; its group may read

}  // namespace hutch::daemon
