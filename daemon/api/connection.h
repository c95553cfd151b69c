#pragma once

#include <functional>

#include "daemon/api/auth.h"
#include "daemon/api/calls.h"
#include "daemon/api/elsewhere.h"
#include "daemon/api/rate.h"
#include "daemon/api/router.h"
#include "daemon/api/wire.h"
#include "daemon/customer_limits.h"
#include "daemon/event.h"

namespace hutch::daemon {

/// What all connections of a listener share.
struct ConnectionRules {
    const Router& router;
    const Auth& auth;
    Rate& requests;    ///< of each customer that asks by a key
    Rate& wrong_keys;  ///< of each address
    const std::shared_ptr<MemoryBudget>& memory;
    Workers& decoders;
    CustomerLimits& limits;
    Timings& timings;
    const Gate& open;                 ///< closed when the daemon is about to end
    bool keyed = false;               ///< over TCP, where every request carries an API key
    std::string preview_domain = {};  ///< of hosts that are boxes' own: the API does not answer for them
    Elsewhere* elsewhere = nullptr;   ///< of a member of a fleet, whose other hosts answer for what is theirs
    /// At the door for those: which names of certificates are hosts' of the fleet, whose word on who asks is taken.
    std::function<bool(const std::string& name)> is_member = {};
    Handler all = {};  ///< of a door that is not the API's: is given every request, and knows itself who may ask
    Patience patience = {};
};

/// Who is at the other end.
struct Client {
    Result<Caller> caller;  ///< where the connection itself tells
    std::string address;    ///< else where it comes from
    bool known = false;     ///< has shown a key that is one
    bool refused = false;   ///< is to go
    std::string customer{};
    CustomerLimits::Hold place{};  ///< among the connections of that customer
};

/// Where a connection is: a request, its first, or one whose first bytes are there, is yet to come whole; one is worked
/// on; nothing was said since the last answer.
enum class Stage { kArriving, kBusy, kIdle };

/// Serves one connection until either side is done with it, the client is too slow, or the daemon is about to end.
/// `note` is told of each stage, so that a shutdown can tell idle connections from those it has to wait for.
Task<> serve_connection(Wire wire, ConnectionRules rules, Client client, std::function<void(Stage)> note);

}  // namespace hutch::daemon
