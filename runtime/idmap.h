#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::runtime {

constexpr uid_t kIdsPerBox = 65536;

/// A user namespace in which ids 0..65535 are the host's base..base+65535, for users and groups alike
/// (user_namespaces(7)). It holds no process: the fd alone keeps it. The box's processes join it, and the box's
/// overlay is idmapped by it.
Result<UniqueFd> make_user_namespace(uid_t base);

}  // namespace hutch::runtime
