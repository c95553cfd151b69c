#pragma once

#include <functional>

#include "daemon/api/auth.h"
#include "daemon/api/router.h"
#include "daemon/api/wire.h"

namespace hutch::daemon {

/// What all connections share. `keyed`: over TCP, where every request carries an API key.
struct ConnectionRules {
    const Router& router;
    const Auth& auth;
    bool keyed = false;
    Patience patience = {};
};

/// Serves one connection until either side is done with it, or the client is too slow. `peer`: who asks, where that is
/// known of the connection. `on_busy(true/false)` brackets each request, so that a shutdown can tell idle connections
/// from those it has to wait for.
Task<> serve_connection(Wire wire, ConnectionRules rules, Result<Caller> peer, std::function<void(bool)> on_busy);

}  // namespace hutch::daemon
