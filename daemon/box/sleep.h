#pragma once

#include "daemon/box/box.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// A process that waits in the kernel for a device or a network file system stops only when that answers.
constexpr cgroups::Millis kFreezeDeadline{1000};

/// Stops all processes of a living box: a few of them here and now, in microseconds, more on a worker thread. kConflict
/// when something does not stop in time: then all of it runs again. The caller sees to it that nobody else changes the
/// box meanwhile.
Task<Result<void>> freeze(Box& box, Workers& workers);
/// On return everything may run.
Task<Result<void>> thaw(Box& box, Workers& workers);
/// Asks the memory of a frozen box back, as well as that goes; what was given is noted in its life.
Task<> reclaim(std::shared_ptr<Box> box, Mechanisms& mechanisms, Workers& workers);

}  // namespace hutch::daemon
