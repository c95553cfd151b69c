#pragma once

#include <cstdint>

#include "base/result.h"
#include "cgroups/limits.h"

namespace hutch::daemon {

/// What the whole host has that boxes use up, and how much of it is in use.
struct HostRoom {
    int64_t memory_bytes = 0;
    int64_t available_bytes = 0;  ///< without swapping, as the kernel estimates it (proc(5), MemAvailable)
    int64_t most_tasks = 0;       ///< processes and threads: the lower of kernel.pid_max and kernel.threads-max
    int64_t tasks = 0;
};

Result<HostRoom> host_room();

/// kLimit, saying of what, when there is too little left for one more box.
Result<void> check_room(const HostRoom& room);

/// What the boxes of one customer may use of the host together, so that some is left for the others.
cgroups::Sums share_of(const HostRoom& room);

}  // namespace hutch::daemon
