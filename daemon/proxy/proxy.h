#pragma once

#include "daemon/api/auth.h"
#include "daemon/api/patience.h"
#include "daemon/api/wire.h"
#include "daemon/preview/dial.h"
#include "daemon/preview/previews.h"

namespace hutch::daemon {

/// The door of public URLs. It answers for the hosts BOX-PORT.DOMAIN and for no other, and the API never does
/// (ConnectionRules), so that neither is of the other's origin. Who may use a URL is known before its box is woken.
/// Event loop thread only; outlives its connections.
class Proxy {
  public:
    Proxy(Dialer& dialer, Previews& previews, const Auth& auth, std::string domain)
        : dialer_(dialer), previews_(previews), auth_(auth), domain_(std::move(domain)) {}

    /// Serves one connection until either side is done with it. `on_busy(true/false)` brackets each request that ends
    /// by itself.
    Task<> serve(Wire wire, Whence from, bool tls, std::function<void(bool)> on_busy);

  private:
    struct Connection;
    struct Way;
    Way way_of(Connection& connection, const std::string& host, const std::string& credential);
    Task<bool> serve_one(Connection& connection, size_t head_size, const std::function<void(bool)>& on_busy);

    Dialer& dialer_;
    Previews& previews_;
    const Auth& auth_;
    const std::string domain_;
    const Patience patience_{};
};

}  // namespace hutch::daemon
