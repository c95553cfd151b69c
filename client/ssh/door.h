#pragma once

#include <libssh/server.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "client/host.h"

namespace hutch::client {

/// A listening socket at "ADDRESS:PORT", "[ADDRESS]:PORT" for IPv6; kInvalid for what is none.
Result<UniqueFd> listen_at(const std::string& where);
/// The address and port a socket is bound to, as listen_at takes them.
std::string address_of(int socket);

/// Lets guests in until SIGTERM or SIGINT, each into a process of its own, then ends them all. This process reads
/// nothing of a guest.
Result<void> keep_door(UniqueFd listening, ssh_bind bind, const Endpoint& daemon);

}  // namespace hutch::client
