#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cgroups/parents.h"

namespace hutch::cgroups {

/// What a box has used. Memory counts page cache and kernel memory too, as its limit does.
struct Stats {
    uint64_t cpu_ns = 0;
    uint64_t memory_bytes = 0;
    uint64_t memory_peak_bytes = 0;
    uint64_t oom_kills = 0;  ///< processes killed because the box reached its memory limit
};

/// Of the group `name` (within our parents; `group` is its v2 directory) and all below it.
Result<Stats> read_stats(const Parents& parents, const std::string& name, int group);

/// Of these, how many were killed for want of memory.
Result<uint64_t> read_oom_kills(const Parents& parents, const std::string& name);

}  // namespace hutch::cgroups
