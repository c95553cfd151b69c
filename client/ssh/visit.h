#pragma once

#include <libssh/server.h>

#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "client/host.h"

namespace hutch::client {

/// What the door learns of a visit while it lasts.
enum class News : char { kKnown = 'k', kWrongKey = 'w' };

struct Visit {
    ssh_bind bind;  ///< with the host key and the algorithms
    const Endpoint& daemon;
    std::string address;  ///< of the guest, for what is said
    std::function<void(News)> tell;
};

/// Serves a connection from its first byte to its end, in a process that does nothing else: what a guest breaks is its
/// own. One that shows no key within 20 seconds ends the process.
void serve_visit(const Visit& visit, UniqueFd connection);

/// `hutch-ssh: <sentence>` on standard error.
void say_of_ssh(const std::string& sentence);

}  // namespace hutch::client
