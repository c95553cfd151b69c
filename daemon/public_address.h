#pragma once

#include <sys/socket.h>

namespace hutch::daemon {

/// Whether it is on the public Internet: in none of IANA's registries of special-purpose addresses.
bool is_public(const sockaddr& address);

}  // namespace hutch::daemon
