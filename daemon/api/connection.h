#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>

#include "daemon/api/auth.h"
#include "daemon/api/router.h"

namespace hutch::daemon {

/// What all connections share. `keyed`: over TCP, where every request carries an API key.
struct ConnectionRules {
    const Router& router;
    const Auth& auth;
    bool keyed = false;
};

/// Serves one connection until either side is done with it. `on_busy(true/false)` brackets each request, so that a
/// shutdown can tell idle connections from those it has to wait for.
Task<> serve_connection(asio::generic::stream_protocol::socket socket, ConnectionRules rules,
                        std::function<void(bool)> on_busy);

}  // namespace hutch::daemon
