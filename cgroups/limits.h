#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cgroups/parents.h"

namespace hutch::cgroups {

/// What a box may use at most. None may be 0.
struct Limits {
    uint64_t memory_bytes = 0;  ///< memory and swap together; on v1 sockets may hold an eighth of that beside it
    uint32_t cpus = 0;          ///< whole CPUs' worth of time in each period of 100 ms
    uint32_t pids = 0;          ///< processes and threads
};

/// What all boxes of a customer may use together. 0: no limit of the customer's own.
struct Sums {
    uint64_t memory_bytes = 0;  ///< memory and swap together
    uint32_t pids = 0;          ///< processes and threads
};

/// Writes the limits into the fresh group `group` (a name within our parents).
Result<void> apply_limits(const Parents& parents, const std::string& group, const Limits& limits);

/// The same for the group of a customer, of which more may be in use already. A sum that is 0 is no limit.
Result<void> apply_sums(const Parents& parents, const std::string& group, const Sums& sums);

}  // namespace hutch::cgroups
