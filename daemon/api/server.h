#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "daemon/api/auth.h"
#include "daemon/api/calls.h"
#include "daemon/api/elsewhere.h"
#include "daemon/api/router.h"
#include "daemon/api/tls.h"
#include "daemon/api/wire.h"
#include "daemon/config.h"
#include "daemon/customer_limits.h"
#include "daemon/event.h"
#include "daemon/memory_budget.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// The HTTP/1.1 door: a Unix socket and, if configured, a TCP port. It knows framing, limits and who asks; what a
/// request means is its routes' business. It and what it includes are all that knows HTTP.
class Server {
  public:
    /// `memory`: of all requests together. `decoders`: see Exchange::decode.
    Server(asio::any_io_executor executor, const Router& router, const Auth& auth, CustomerLimits& limits,
           const Config& config, std::shared_ptr<MemoryBudget> memory, Workers& decoders, Timings& timings);
    ~Server();

    /// Makes the socket, and removes it when it closes or goes.
    Result<void> listen_unix(const std::string& path);
    /// A listening Unix socket made by others, who own its path and who may open it.
    Result<void> listen_on(UniqueFd socket);
    /// "127.0.0.1:8080". Every request there needs an API key. `tls`: null for a port in clear.
    Result<void> listen_tcp(const std::string& address, std::shared_ptr<Tls> tls);
    /// The same port for another door than the API's, each of whose connections goes to `serve`. `on_busy` brackets
    /// what an end of the daemon waits for.
    using Serve = std::function<Task<>(Wire wire, Whence from, std::function<void(bool)> on_busy)>;
    Result<void> listen_beside(const std::string& option, const std::string& address, std::shared_ptr<Tls> tls,
                               Serve serve);
    /// A listening TCP socket of another door, each of whose requests goes to `all`, which knows who may ask.
    Result<void> listen_apart(UniqueFd socket, Handler all);
    /// "10.0.0.1:7433", for the other hosts of a fleet alone, whose word on who asks is taken. `is_member`: whether the
    /// name in a certificate is one's.
    Result<void> listen_fleet(const std::string& address, std::shared_ptr<Tls> tls,
                              std::function<bool(const std::string& name)> is_member);
    /// Who knows what other hosts answer for; before anybody is listened to, and outlives the connections.
    void set_elsewhere(Elsewhere& elsewhere);
    /// Accepts who has connected by now, and nobody else. What has been sent is answered, each connection's last answer
    /// with "Connection: close"; idle connections end. Waits for that for at most `patience`; then cuts the rest.
    Task<> close(std::chrono::milliseconds patience);

  private:
    struct State;
    struct Guest;
    std::shared_ptr<State> state_;
};

}  // namespace hutch::daemon
