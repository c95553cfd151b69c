#pragma once

#include <sys/socket.h>

#include "base/result.h"

namespace hutch::netns {

/// Whether what is sent to this address of IPv4 or IPv6 stays on this host, as its routing tables have it: then it
/// passes by every firewall that guards the host from outside. False where there is no way to it. Asks the kernel once,
/// however many links and addresses the host has.
Result<bool> is_own_address(const sockaddr& address);

}  // namespace hutch::netns
