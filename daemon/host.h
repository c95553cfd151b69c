#pragma once

#include "daemon/box/mechanisms.h"

namespace hutch::daemon {

/// Prepares the process and the host for boxes: a mount namespace of the daemon's own, the store, the control groups,
/// IP forwarding, the firewall. The slot pool comes later, with adoption, since it must know which addresses are taken.
Result<Mechanisms> prepare_host(const Config& config);

/// Refuses a second daemon on the same state directory. The lock goes with the process.
Result<UniqueFd> lock_state(const Config& config);

}  // namespace hutch::daemon
