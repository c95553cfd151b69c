#include "daemon/api/server.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <set>

#include "base/undo.h"
#include "daemon/api/connection.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

constexpr std::chrono::seconds kLastWords{1};
constexpr size_t kMostApart = 64;  // connections from one address

// Not more than half of our descriptors: the boxes need the others.
static size_t connection_limit() {
    constexpr size_t kMost = 10'000;
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min<size_t>(kMost, limit.rlim_cur / 2) : kMost;
}

using Socket_ = Wire::Socket;

void set_tcp_options(Socket_& socket) {
    boost::system::error_code ignored;
    // A stream's small pieces must not wait for the client's delayed acknowledgement: 40 ms each.
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    // Who has vanished without a word is noticed, in about two minutes, though there is nothing to be said to it.
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    for (const auto& [option, value] : {std::pair(TCP_KEEPIDLE, 60), {TCP_KEEPINTVL, 15}, {TCP_KEEPCNT, 4}}) {
        (void)setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
    }
}

// Whom a limit is for: of IPv6 the network, since a host has all of its addresses.
std::string address_of(const Socket_& socket) {
    boost::system::error_code failed;
    const auto peer = socket.remote_endpoint(failed);
    asio::ip::tcp::endpoint endpoint;
    if (failed || peer.size() > endpoint.capacity()) return "";
    memcpy(endpoint.data(), peer.data(), peer.size());
    auto address = endpoint.address();
    if (address.is_v4()) return address.to_string();
    if (address.to_v6().is_v4_mapped()) return make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    auto bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), 0);
    return asio::ip::address_v6(bytes).to_string();
}

// One socket that is listened on.
struct Listener {
    bool keyed = false;           ///< over TCP, where anybody may connect
    size_t most = 0;              ///< connections at a time
    size_t most_per_address = 0;  ///< 0: without a limit
    std::shared_ptr<Tls> tls{};
    Handler all{};
    size_t connected = 0;

    [[nodiscard]] bool tcp() const { return keyed || all; }
    /// Of one address. At a door without keys, however many take all that they can, the next one finds it open.
    [[nodiscard]] size_t most_apart() const {
        if (!all) return most_per_address;
        return std::clamp<size_t>((most - connected) / 8, 1, most_per_address);
    }
};

struct Server::State : std::enable_shared_from_this<Server::State> {
    State(asio::any_io_executor its_executor, const Router& its_router, const Auth& its_auth,
          CustomerLimits& its_limits, const Config& config, std::shared_ptr<MemoryBudget> its_memory,
          Workers& its_decoders, Timings& its_timings)
        : executor(std::move(its_executor)),
          router(its_router),
          auth(its_auth),
          limits(its_limits),
          max_per_address(config.connections_per_address),
          rate(config.requests_per_minute),
          wrong_keys(config.wrong_keys_per_minute),
          memory(std::move(its_memory)),
          decoders(its_decoders),
          timings(its_timings),
          requests(executor) {}

    asio::any_io_executor executor;
    const Router& router;
    const Auth& auth;
    CustomerLimits& limits;
    const size_t max_connections = connection_limit();
    const size_t max_per_address;  ///< over TCP; 0: without a limit
    std::map<std::string, size_t> per_address;
    Rate rate;
    Rate wrong_keys;
    const std::shared_ptr<MemoryBudget> memory;
    Workers& decoders;
    Timings& timings;
    std::vector<std::function<void()>> stop_listening;
    std::set<int> connections;  ///< their descriptors
    Gate requests;
    std::string socket_path;  ///< of the Unix socket that we have made
    struct stat socket_file {};

    template <typename Acceptor>
    Task<> accept_all(std::shared_ptr<Acceptor> acceptor, std::shared_ptr<Listener> listener) {
        const auto self = shared_from_this();
        while (!requests.closed()) {
            Socket_ socket(executor);
            const auto [failed] = co_await acceptor->async_accept(socket, kAwait);
            if (failed == asio::error::operation_aborted) co_return;
            if (failed) {  // out of descriptors: the backlog waits until some are free
                log_error("accepting a connection: {}", failed.message());
                asio::steady_timer pause(executor, std::chrono::milliseconds(100));
                co_await pause.async_wait(kAwait);
                continue;
            }
            // Those beyond the limits are closed at once.
            if (connections.size() >= max_connections || listener->connected >= listener->most) continue;
            const std::string address = listener->tcp() ? address_of(socket) : "";
            const size_t most = listener->most_apart();
            if (most != 0 && per_address[address] >= most) continue;
            if (listener->tcp()) set_tcp_options(socket);
            spawn(executor, "a connection from " + (address.empty() ? "this host" : address),
                  serve(self, std::move(socket), listener, address));
        }
    }

    static Task<> serve(std::shared_ptr<State> self, Socket_ socket, std::shared_ptr<Listener> listener,
                        std::string address) {
        const int fd = socket.native_handle();
        self->connections.insert(fd);
        ++listener->connected;
        if (listener->tcp()) ++self->per_address[address];
        const Undo leave([&self, &listener, fd, &address] {
            self->connections.erase(fd);
            --listener->connected;
            if (listener->tcp() && --self->per_address[address] == 0) self->per_address.erase(address);
        });
        std::optional<Gate::Pass> pass;
        const ConnectionRules rules{.router = self->router,
                                    .auth = self->auth,
                                    .requests = self->rate,
                                    .wrong_keys = self->wrong_keys,
                                    .memory = self->memory,
                                    .decoders = self->decoders,
                                    .limits = self->limits,
                                    .timings = self->timings,
                                    .under_way = self->requests,
                                    .keyed = listener->keyed,
                                    .all = listener->all};
        Client client{listener->tcp() ? Result<Caller>(Caller{}) : self->auth.by_peer(fd), address};
        const auto context = listener->tls ? listener->tls->context() : nullptr;
        co_await serve_connection(Wire(std::move(socket), context), rules, std::move(client), [&](bool busy) {
            if (busy) {
                pass.emplace(self->requests.enter());
            } else {
                pass.reset();
            }
        });
    }

    // Unless another daemon has put its own there meanwhile.
    void remove_socket() {
        struct stat now {};
        const std::string path = std::exchange(socket_path, "");
        if (path.empty() || lstat(path.c_str(), &now) != 0) return;
        if (now.st_dev == socket_file.st_dev && now.st_ino == socket_file.st_ino) ::unlink(path.c_str());
    }

    template <typename Acceptor>
    void start(std::shared_ptr<Acceptor> acceptor, Listener listener) {
        stop_listening.push_back([acceptor] { acceptor->close(); });
        auto shared = std::make_shared<Listener>(std::move(listener));
        spawn_lasting(executor, "accepting connections",
                      [self = shared_from_this(), acceptor, shared] { return self->accept_all(acceptor, shared); });
    }
};

Server::Server(asio::any_io_executor executor, const Router& router, const Auth& auth, CustomerLimits& limits,
               const Config& config, std::shared_ptr<MemoryBudget> memory, Workers& decoders, Timings& timings)
    : state_(std::make_shared<State>(std::move(executor), router, auth, limits, config, std::move(memory), decoders,
                                     timings)) {}

Server::~Server() {
    state_->remove_socket();
}

Result<void> Server::listen_unix(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return invalid("socket: the path is longer than a socket's may be");
    ::unlink(path.c_str());  // of the last daemon: the lock on the state directory says it is gone
    using Local = asio::local::stream_protocol;
    auto acceptor = std::make_shared<asio::basic_socket_acceptor<Local>>(state_->executor);
    boost::system::error_code failed;
    acceptor->open(Local(), failed);
    const mode_t before = umask(0177);  // nobody but root, until its group is set
    if (!failed) acceptor->bind(Local::endpoint(path), failed);
    umask(before);
    if (!failed && lstat(path.c_str(), &state_->socket_file) == 0) state_->socket_path = path;
    if (!failed) acceptor->listen(1024, failed);
    if (failed) return errno_error("listening on " + path, failed.value());
    if (chown(path.c_str(), 0, state_->auth.group()) != 0 || chmod(path.c_str(), 0660) != 0) {
        return errno_error("setting the owner of " + path);
    }
    state_->start(std::move(acceptor), {.most = state_->max_connections});
    return {};
}

Result<void> Server::listen_on(UniqueFd socket) {
    using Local = asio::local::stream_protocol;
    auto acceptor = std::make_shared<asio::basic_socket_acceptor<Local>>(state_->executor);
    boost::system::error_code failed;
    acceptor->assign(Local(), socket.get(), failed);
    if (failed) return errno_error("listening on the socket handed over", failed.value());
    (void)socket.release();  // the acceptor's now
    state_->start(std::move(acceptor), {.most = state_->max_connections});
    return {};
}

Result<void> Server::listen_tcp(const std::string& address, std::shared_ptr<Tls> tls) {
    if (!state_->auth.has_keys()) log_warning("no API key exists yet: make one with `hutch key add NAME`");
    const auto parsed = parse_endpoint(address);
    boost::system::error_code failed;
    const auto ip = asio::ip::make_address(parsed ? parsed->address : "", failed);
    if (failed) return invalid("listen: must be ADDRESS:PORT, for example 127.0.0.1:8080");
    using Tcp = asio::ip::tcp;
    auto acceptor = std::make_shared<Tcp::acceptor>(state_->executor);
    const Tcp::endpoint endpoint(ip, parsed->port);
    acceptor->open(endpoint.protocol(), failed);
    if (!failed) acceptor->set_option(Tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor->bind(endpoint, failed);
    if (!failed) acceptor->listen(1024, failed);
    if (failed) return errno_error("listening on " + address, failed.value());
    // The operator's socket keeps half of the room.
    state_->start(std::move(acceptor), {.keyed = true,
                                        .most = state_->max_connections / 2,
                                        .most_per_address = state_->max_per_address,
                                        .tls = std::move(tls)});
    return {};
}

Result<void> Server::listen_apart(UniqueFd socket, Handler all) {
    using Tcp = asio::ip::tcp;
    auto acceptor = std::make_shared<Tcp::acceptor>(state_->executor);
    boost::system::error_code failed;
    acceptor->assign(Tcp::v4(), socket.get(), failed);
    if (failed) return errno_error("listening on a socket", failed.value());
    (void)socket.release();  // the acceptor's now
    state_->start(std::move(acceptor),
                  {.most = state_->max_connections / 4, .most_per_address = kMostApart, .all = std::move(all)});
    return {};
}

Task<> Server::close(std::chrono::milliseconds patience) {
    using namespace asio::experimental::awaitable_operators;
    for (const auto& stop : state_->stop_listening) stop();
    state_->remove_socket();
    const auto state = state_;
    asio::steady_timer limit(state->executor, patience);
    co_await (state->requests.close() || limit.async_wait(kAwait));
    if (state->requests.inside() == 0) co_return;
    log_warning("{} requests are cut off", state->requests.inside());
    // Those that wait for their client now come to an end of their own, and give back what they hold. Those that wait
    // for a command do not.
    for (const int connection : state->connections) ::shutdown(connection, SHUT_RDWR);
    limit.expires_after(kLastWords);
    co_await (state->requests.close() || limit.async_wait(kAwait));
}

}  // namespace hutch::daemon
