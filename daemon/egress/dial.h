#pragma once

#include "daemon/api/wire.h"
#include "netns/address.h"

namespace hutch::daemon {

/// A connection of the host's own, for a box, to an address that was judged. Its end resets it, unless it is told
/// otherwise (Wire::reset_at_end). May be cancelled.
Task<Result<Wire>> connect_for_box(netns::Ipv4 address, uint16_t port);

}  // namespace hutch::daemon
