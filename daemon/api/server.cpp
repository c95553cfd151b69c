#include "daemon/api/server.h"

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <set>

#include "base/undo.h"
#include "daemon/api/connection.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

constexpr std::chrono::seconds kFirstWords{1};  // who has connected says at once what it wants, or is not waited for
constexpr std::chrono::seconds kLastWords{1};
constexpr size_t kMostApart = 64;  // connections from one address

// Not more than half of our descriptors: the boxes need the others.
static size_t connection_limit() {
    constexpr size_t kMost = 10'000;
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min<size_t>(kMost, limit.rlim_cur / 2) : kMost;
}

using Socket_ = Wire::Socket;

std::optional<asio::ip::address> peer_of(const Socket_& socket) {
    boost::system::error_code failed;
    const auto peer = socket.remote_endpoint(failed);
    asio::ip::tcp::endpoint endpoint;
    if (failed || peer.size() > endpoint.capacity()) return std::nullopt;
    memcpy(endpoint.data(), peer.data(), peer.size());
    const auto address = endpoint.address();
    if (address.is_v4() || !address.to_v6().is_v4_mapped()) return address;
    return make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

std::string text_of_peer(const Socket_& socket) {
    const auto address = peer_of(socket);
    return address ? address->to_string() : "";
}

// As Whence::network.
std::string address_of(const Socket_& socket) {
    const auto address = peer_of(socket);
    if (!address) return "";
    if (address->is_v4()) return address->to_string();
    auto bytes = address->to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), 0);
    return asio::ip::address_v6(bytes).to_string();
}

// Whoever connects from now on is not answered, and tries again in a second (tcp(7), tcp_syn_retries): by then the next
// daemon listens, or nobody. Who is connected stays so, and shutdown(2) would reset it.
void refuse_newcomers(int listener) {
    constexpr uint32_t kFlags = 13;  // in a TCP header
    constexpr uint32_t kSyn = 2;
    sock_filter program[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlags),
                             BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSyn, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                             BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
    if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
        log_warning("who connects in this moment may be cut off: {}", errno_error("filtering a socket").message);
    }
}

// Of a Unix socket the kernel refuses them at once (unix_stream_connect() in net/unix/af_unix.c).
void refuse_newcomers_by_path(int listener) {
    (void)::shutdown(listener, SHUT_RD);
}

// One socket that is listened on.
struct Listener {
    bool keyed = false;           ///< over TCP, where anybody may connect
    size_t most = 0;              ///< connections at a time
    size_t most_per_address = 0;  ///< 0: without a limit
    std::shared_ptr<Tls> tls{};
    Handler all{};
    void (*close_door)(int) = refuse_newcomers;
    bool keeps_queue = false;  ///< the next daemon accepts who waits there
    Server::Serve serve{};
    std::function<bool(const std::string& name)> is_member{};
    size_t connected = 0;

    [[nodiscard]] bool tcp() const { return keyed || all || serve || is_member; }
    /// Of one address. At a door without keys, however many take all that they can, the next one finds it open.
    [[nodiscard]] size_t most_apart() const {
        if (!all) return most_per_address;
        return std::clamp<size_t>((most - connected) / 8, 1, most_per_address);
    }
};

// One who is connected, from the accept to the end.
struct Server::Guest {
    Guest(std::shared_ptr<State> its_server, std::shared_ptr<Listener> its_listener, std::string its_address,
          int its_fd);
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    ~Guest();

    const std::shared_ptr<State> server;
    const std::shared_ptr<Listener> listener;
    const std::string address;  ///< over TCP
    const int fd;
    Stage stage = Stage::kArriving;
    const Gate::Pass pass;
    std::optional<Gate::Pass> awaited;  ///< by who stops the server: there is a request, or one may be expected
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
          preview_domain(config.preview_domain),
          rate(config.requests_per_minute),
          wrong_keys(config.wrong_keys_per_minute),
          memory(std::move(its_memory)),
          decoders(its_decoders),
          timings(its_timings),
          gate(executor),
          requests(executor) {}

    asio::any_io_executor executor;
    const Router& router;
    const Auth& auth;
    CustomerLimits& limits;
    const size_t max_connections = connection_limit();
    const size_t max_per_address;  ///< over TCP; 0: without a limit
    const std::string preview_domain;
    std::map<std::string, size_t> per_address;
    Rate rate;
    Rate wrong_keys;
    const std::shared_ptr<MemoryBudget> memory;
    Workers& decoders;
    Timings& timings;
    Elsewhere* elsewhere = nullptr;
    std::vector<std::function<void()>> stop_listening;
    std::set<Guest*> guests;
    Gate gate;                ///< each guest is inside
    Gate requests;            ///< each listener, and each guest who is not idle
    std::string socket_path;  ///< of the Unix socket that we have made
    struct stat socket_file {};

    template <typename Acceptor>
    Task<> accept_all(std::shared_ptr<Acceptor> acceptor, std::shared_ptr<Listener> listener) {
        const Gate::Pass pass = requests.enter();
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
            admit(std::move(socket), listener);
        }
    }

    // Who has connected by now is served. The kernel would reset those who are closed upon in the queue.
    template <typename Acceptor>
    void stop_accepting(Acceptor& acceptor, const std::shared_ptr<Listener>& listener) {
        boost::system::error_code failed;
        if (!listener->keeps_queue) {
            listener->close_door(acceptor.native_handle());
            acceptor.non_blocking(true, failed);
        }
        while (!failed && !listener->keeps_queue) {
            Socket_ socket(executor);
            acceptor.accept(socket, failed);
            if (!failed) admit(std::move(socket), listener);
        }
        acceptor.close(failed);
    }

    // Those beyond the limits are closed at once.
    void admit(Socket_ socket, const std::shared_ptr<Listener>& listener) {
        if (guests.size() >= max_connections || listener->connected >= listener->most) return;
        const std::string address = listener->tcp() ? address_of(socket) : "";
        const size_t most = listener->most_apart();
        if (most != 0 && per_address[address] >= most) return;
        if (listener->tcp()) set_tcp_options(socket);
        auto guest = std::make_unique<Guest>(shared_from_this(), listener, address, socket.native_handle());
        spawn(executor, "a connection from " + (address.empty() ? "this host" : address),
              serve(std::move(guest), std::move(socket)));
    }

    static Task<> serve(std::unique_ptr<Guest> guest, Socket_ socket);

    // What they have sent is read and answered; then they are at their end.
    void hear_no_more_of(Stage stage) {
        for (const Guest* guest : guests) {
            if (guest->stage == stage) ::shutdown(guest->fd, SHUT_RD);
        }
    }
    [[nodiscard]] auto busy() const {
        return std::count_if(guests.begin(), guests.end(), [](const Guest* g) { return g->stage == Stage::kBusy; });
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
        auto shared = std::make_shared<Listener>(std::move(listener));
        stop_listening.push_back([this, acceptor, shared] { stop_accepting(*acceptor, shared); });
        spawn_lasting(executor, "accepting connections",
                      [self = shared_from_this(), acceptor, shared] { return self->accept_all(acceptor, shared); });
    }
};

Server::Guest::Guest(std::shared_ptr<State> its_server, std::shared_ptr<Listener> its_listener, std::string its_address,
                     int its_fd)
    : server(std::move(its_server)),
      listener(std::move(its_listener)),
      address(std::move(its_address)),
      fd(its_fd),
      pass(server->gate.enter()),
      awaited(server->requests.enter()) {
    server->guests.insert(this);
    ++listener->connected;
    if (listener->tcp()) ++server->per_address[address];
}

Server::Guest::~Guest() {
    server->guests.erase(this);
    --listener->connected;
    if (listener->tcp() && --server->per_address[address] == 0) server->per_address.erase(address);
}

Task<> Server::State::serve(std::unique_ptr<Guest> guest, Socket_ socket) {
    State& server = *guest->server;
    const Listener& listener = *guest->listener;
    const ConnectionRules rules{.router = server.router,
                                .auth = server.auth,
                                .requests = server.rate,
                                .wrong_keys = server.wrong_keys,
                                .memory = server.memory,
                                .decoders = server.decoders,
                                .limits = server.limits,
                                .timings = server.timings,
                                .open = server.requests,
                                .keyed = listener.keyed,
                                .preview_domain = server.preview_domain,
                                .elsewhere = listener.is_member ? nullptr : server.elsewhere,
                                .is_member = listener.is_member,
                                .all = listener.all};
    const auto context = listener.tls ? listener.tls->context() : nullptr;
    const auto note = [&guest](Stage stage) {
        guest->stage = stage;
        if (stage == Stage::kIdle) guest->awaited.reset();
        if (stage != Stage::kIdle && !guest->awaited) guest->awaited.emplace(guest->server->requests.enter());
    };
    if (listener.serve) {
        Whence from{text_of_peer(socket), guest->address};
        const auto on_busy = [&note](bool busy) { note(busy ? Stage::kBusy : Stage::kIdle); };
        co_await listener.serve(Wire(std::move(socket), context), std::move(from), on_busy);
        co_return;
    }
    Client client{listener.tcp() ? Result<Caller>(Caller{}) : server.auth.by_peer(guest->fd), guest->address};
    co_await serve_connection(Wire(std::move(socket), context), rules, std::move(client), note);
}

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
    state_->start(std::move(acceptor), {.most = state_->max_connections, .close_door = refuse_newcomers_by_path});
    return {};
}

Result<void> Server::listen_on(UniqueFd socket) {
    using Local = asio::local::stream_protocol;
    auto acceptor = std::make_shared<asio::basic_socket_acceptor<Local>>(state_->executor);
    boost::system::error_code failed;
    acceptor->assign(Local(), socket.get(), failed);
    if (failed) return errno_error("listening on the socket handed over", failed.value());
    (void)socket.release();  // the acceptor's now
    state_->start(std::move(acceptor), {.most = state_->max_connections, .keeps_queue = true});
    return {};
}

static Result<std::shared_ptr<asio::ip::tcp::acceptor>> open_port(const asio::any_io_executor& executor,
                                                                  const std::string& option,
                                                                  const std::string& address) {
    const auto parsed = parse_endpoint(address);
    boost::system::error_code failed;
    const auto ip = asio::ip::make_address(parsed ? parsed->address : "", failed);
    if (failed) return invalid(option + ": must be ADDRESS:PORT, for example 127.0.0.1:8080");
    using Tcp = asio::ip::tcp;
    auto acceptor = std::make_shared<Tcp::acceptor>(executor);
    const Tcp::endpoint endpoint(ip, parsed->port);
    acceptor->open(endpoint.protocol(), failed);
    if (!failed) acceptor->set_option(Tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor->bind(endpoint, failed);
    if (!failed) acceptor->listen(1024, failed);
    if (failed) return errno_error("listening on " + address, failed.value());
    return acceptor;
}

Result<void> Server::listen_tcp(const std::string& address, std::shared_ptr<Tls> tls) {
    if (!state_->auth.has_keys()) log_warning("no API key exists yet: make one with `hutch key add NAME`");
    auto acceptor = TRY(open_port(state_->executor, "listen", address));
    // The operator's socket keeps half of the room.
    state_->start(std::move(acceptor), {.keyed = true,
                                        .most = state_->max_connections / 2,
                                        .most_per_address = state_->max_per_address,
                                        .tls = std::move(tls)});
    return {};
}

Result<void> Server::listen_fleet(const std::string& address, std::shared_ptr<Tls> tls,
                                  std::function<bool(const std::string& name)> is_member) {
    auto acceptor = TRY(open_port(state_->executor, "fleet_listen", address));
    state_->start(std::move(acceptor),
                  {.most = state_->max_connections / 2, .tls = std::move(tls), .is_member = std::move(is_member)});
    return {};
}

void Server::set_elsewhere(Elsewhere& elsewhere) {
    state_->elsewhere = &elsewhere;
}

Result<void> Server::listen_beside(const std::string& option, const std::string& address, std::shared_ptr<Tls> tls,
                                   Serve serve) {
    auto acceptor = TRY(open_port(state_->executor, option, address));
    state_->start(std::move(acceptor), {.most = state_->max_connections / 4,
                                        .most_per_address = state_->max_per_address,
                                        .tls = std::move(tls),
                                        .serve = std::move(serve)});
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
    const auto state = state_;
    state->remove_socket();  // first: who finds none there waits for the next daemon
    for (const auto& stop : state->stop_listening) stop();
    asio::steady_timer limit(state->executor, kFirstWords);
    co_await (state->requests.close() || limit.async_wait(kAwait));
    state->hear_no_more_of(Stage::kArriving);
    limit.expires_after(patience);
    co_await (state->requests.close() || limit.async_wait(kAwait));  // who is idle may ask meanwhile how we are
    state->hear_no_more_of(Stage::kIdle);
    co_await (state->gate.close() || limit.async_wait(kAwait));
    if (state->gate.inside() == 0) co_return;
    log_warning("{} requests are cut off", state->busy());
    // Those that wait for their client now come to an end of their own, and give back what they hold. Those that wait
    // for a command do not.
    for (const Guest* guest : state->guests) ::shutdown(guest->fd, SHUT_RDWR);
    limit.expires_after(kLastWords);
    co_await (state->gate.close() || limit.async_wait(kAwait));
}

}  // namespace hutch::daemon
