#pragma once

#include <sys/types.h>

#include <array>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::daemon {

/// The end of a command's pipe that is the daemon's, and which way it goes.
enum class PipeOf { kInput, kOutput };

/// A pipe of a command: its read end, and its write end. It belongs to `owner`, a uid of the host, so that the command,
/// and what it becomes by sudo, can open it again by a name such as /dev/stdout or /proc/self/fd/0 (proc(5)). Only ours
/// is non-blocking: the command's must block, which is the back pressure.
Result<std::array<UniqueFd, 2>> make_pipe(PipeOf use, uid_t owner);

}  // namespace hutch::daemon
