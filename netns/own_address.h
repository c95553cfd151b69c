#pragma once

#include <sys/socket.h>

#include "base/result.h"

namespace hutch::netns {

/// Where what this host sends to an address of IPv4 or IPv6 goes, as its routing tables have it. Asks the kernel once,
/// however many links and addresses the host has.
enum class Way { kNone, kHere, kAway };
Result<Way> way_to(const sockaddr& address);

/// Whether what is sent to this address of IPv4 or IPv6 stays on this host, then it passes by every firewall
/// that guards the host from outside. False where there is no way to it.
Result<bool> is_own_address(const sockaddr& address);

}  // namespace hutch::netns
