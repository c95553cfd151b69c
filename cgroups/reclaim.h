#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cgroups/parents.h"

namespace hutch::cgroups {

/// Has the kernel take back the memory that the group (a name within our parents) can do without for now: page cache,
/// and what there is swap for. The number of bytes given back. Blocks while the kernel works at it: microseconds for an
/// idle box, seconds for one that fills its limit. ENOENT on v2 before Linux 5.19 (memory.reclaim).
Result<uint64_t> reclaim_memory(const Parents& parents, const std::string& group);

}  // namespace hutch::cgroups
