#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/nesting.h"

namespace hutch::runtime {

constexpr uid_t kIdsPerBox = 65536;
constexpr uid_t kHighIdsPerBox = 196608;  ///< those from 65,536 on

/// A user namespace in which ids 0..65535 are the host's base..base+65535, and 65536..262143 those from `high_base` on,
/// unless that is 0; for users and groups alike (user_namespaces(7)). It holds no process: the fd alone keeps it. The
/// box's processes join it, and the box's overlay is idmapped by it. Its owner is `base`, so that what the kernel
/// counts by user (user.max_* of namespaces(7), RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE and RLIMIT_MEMLOCK) is a budget of
/// each box's own. That uid must be nobody's on the host: a process of it would have every capability in the namespace.
///
/// With nesting it is one of two, the other around it (inner_namespace.h).
///
/// Called by root. Like every change of uid it makes the whole process non-dumpable.
Result<UniqueFd> make_user_namespace(uid_t base, Nesting nesting = Nesting::kRefused, uid_t high_base = 0);

}  // namespace hutch::runtime
