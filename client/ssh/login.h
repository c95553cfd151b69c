#pragma once

#include <libssh/libssh.h>

#include <functional>
#include <string>

#include "client/host.h"

namespace hutch::client {

/// Who has logged in, and into which box.
struct Guest {
    Endpoint endpoint;  ///< of the daemon, with the guest's key
    std::string box;    ///< its id
    std::string name;   ///< as the guest called it: its id or its name
};

/// Whether a password can be an API key: what cannot is not shown to the daemon.
bool may_be_key(const std::string& password);

/// From the first byte of a connection to a right key, or an error: at most three passwords. Blocks; whoever calls sees
/// to it that it comes to an end. A wrong key and a box that is none of its customer's are answered alike. `event`
/// watches the session. `on_wrong` is called for each password that is none.
Result<Guest> log_in(ssh_session session, ssh_event event, const Endpoint& daemon,
                     const std::function<void()>& on_wrong);

}  // namespace hutch::client
