#pragma once

#include "daemon/box/box.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// Stops all processes of a living box. What is small stands still in microseconds, here and now; the rest is waited
/// for on a worker thread. kConflict when something does not stop in time: then all of it runs again. The caller sees
/// to it that nobody else changes the box meanwhile.
Task<Result<void>> freeze(Box& box, Workers& workers);
/// On return everything may run.
Result<void> thaw(Box& box);
/// Asks the memory of a frozen box back, as well as that goes; what was given is noted in its life.
Task<> reclaim(std::shared_ptr<Box> box, Mechanisms& mechanisms, Workers& workers);

}  // namespace hutch::daemon
