#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/api/wire.h"
#include "netns/address.h"

namespace hutch::daemon {

/// A TCP connection that a box has opened to a port that is relayed for it (netns::Policy::relayed).
struct Flow {
    netns::Ipv4 box;
    netns::Ipv4 address;  ///< that the box has connected to, and its port
    uint16_t port = 0;
    bool tls = false;
    std::string name;                ///< that it has told, as Opening::name; empty: none
    std::vector<std::string> led{};  ///< names by which the box had found the address when it connected, if it must
    bool opaque = false;             ///< neither TLS nor HTTP, so that it tells none
};

enum class Verdict {
    kPass,      ///< on to that address, untouched
    kRefuse,    ///< the box is told so, as far as its protocol can
    kIntercept  ///< the interceptor answers for the address
};

/// Asked of each connection when its first bytes are there, and again of those that are open after each change of their
/// box's policy (Relay::reconsider): one that is to be dealt with otherwise now is cut. Called by the relay's thread,
/// which it must not keep waiting.
using Judge = std::function<Verdict(const Flow& flow)>;

/// Takes a connection over. `begun`: what was read of it already. The wire is cut (Wire::reset) when the connection
/// is to end. On the relay's thread, as a task of its loop.
using Interceptor = std::function<Task<>(Wire box, std::string begun, Flow flow)>;

}  // namespace hutch::daemon
