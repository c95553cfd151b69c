#pragma once

#include "daemon/box/mechanisms.h"
#include "daemon/customer_limits.h"

namespace hutch::daemon {

/// Takes a mount namespace of the daemon's own, before any thread exists, and brings the store there if it is a file
/// system in a file: makes that, or makes it larger, as store_size says. The mount goes with the daemon and the boxes.
Result<void> mount_store(const Config& config);

/// Prepares the process and the host for boxes: the store, the control groups, IP forwarding, the firewall with these
/// policies of boxes that are there. After mount_store(). The slot pool comes later, with adoption, since it must know
/// which addresses are taken. On failure no firewall is left that was not there before, unless boxes may live behind
/// it.
Result<Mechanisms> prepare_host(const Config& config, std::map<netns::Ipv4, netns::Policy> policies);

/// Removes the firewall that this start has made. It stays if it was there before, or if boxes may live behind it.
void remove_new_firewall(const netns::Policies& policies, const netns::Config& network);

/// Refuses a second daemon on the same state directory. The lock goes with the process.
Result<UniqueFd> lock_state(const Config& config);

/// Refuses a second daemon of the same name, which would take the first one's boxes for leftovers.
Result<UniqueFd> lock_name(const Config& config);

/// The soft limit of 1,024 is for programs that use select(2); a box holds half a dozen descriptors.
void raise_descriptor_limit();

/// The kernel, out of memory, ends something else than the daemon, where that may be asked for. Boxes are offered to it
/// (runtime/launcher.cpp).
void decline_oom_killer();

/// The event loop and what makes boxes get a CPU at once where boxes, or the daemon's own large work, compute without
/// pause. Threads and boxes' inits inherit it; commands start from 0 again (runtime/init). First of all: it needs
/// CAP_SYS_NICE.
void come_before_boxes();

/// What a customer may take of this host, of whom nothing else was said. After mount_store().
CustomerLimits::Limits limits_of_host(const Config& config);

}  // namespace hutch::daemon
