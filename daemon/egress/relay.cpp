#include "daemon/egress/relay.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4.h>  // which leaves out what netinet/in.h has defined

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <thread>

#include "daemon/egress/dial.h"
#include "daemon/event.h"
#include "daemon/log.h"
#include "daemon/proxy/carry.h"
#include "daemon/spawn.h"
#include "daemon/wire/opening.h"
#include "netns/dns_socket.h"
#include "netns/firewall.h"

namespace hutch::daemon {
namespace {

using Tcp = asio::ip::tcp;

constexpr std::chrono::seconds kOpeningPatience{10};  // whose server speaks first waits so long for it
constexpr std::chrono::milliseconds kAcceptPause{100};
const Patience kPatience{};

// access_denied (RFC 8446, 6.2), and the same in words for people.
constexpr std::string_view kTlsRefusal("\x15\x03\x03\x00\x02\x02\x31", 7);
constexpr std::string_view kHttpRefusal =
    "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 50\r\nConnection: "
    "close\r\n\r\nThe network policy of this box refuses this host.\n";

Result<std::pair<netns::Ipv4, uint16_t>> original_destination(int socket) {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    if (getsockopt(socket, SOL_IP, SO_ORIGINAL_DST, &address, &size) != 0) return errno_error("SO_ORIGINAL_DST");
    return std::pair(netns::Ipv4{ntohl(address.sin_addr.s_addr)}, ntohs(address.sin_port));
}

Task<> wait_until(asio::steady_timer::time_point when) {
    asio::steady_timer timer(co_await asio::this_coro::executor, when);
    co_await timer.async_wait(kAwait);
}

}  // namespace

struct Relay::State {
    State(const netns::Config& its_network, netns::Policies& its_policies, Judge its_judge, Interceptor its_interceptor)
        : network(its_network),
          blocked(netns::blocked_networks(its_network)),
          policies(its_policies),
          judge(std::move(its_judge)),
          interceptor(std::move(its_interceptor)) {}

    struct Connection;
    using Connections = std::multimap<netns::Ipv4, Connection*>;

    Task<> accept_all();
    void run();
    void admit(Tcp::socket socket, const Tcp::endpoint& peer);
    Task<> serve(std::unique_ptr<Connection> connection);
    Task<> pass_on(Connection& connection, std::string begun);
    [[nodiscard]] bool admits(const Flow& flow) const;
    void reconsider(netns::Ipv4 box);
    void judge_again(netns::Ipv4 box);

    const netns::Config network;
    const std::vector<netns::Prefix> blocked;
    netns::Policies& policies;
    const Judge judge;
    const Interceptor interceptor;
    Connections connections;
    asio::io_context loop{1};  // its connections go with it, before the books
    std::optional<Tcp::acceptor> acceptor;
    std::jthread thread;
};

struct Relay::State::Connection {
    Connection(Connections& its_books, Wire its_box, Flow its_flow)
        : books(its_books), box(std::move(its_box)), flow(std::move(its_flow)), entry(books.emplace(flow.box, this)) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { books.erase(entry); }

    void cut() {
        box.reset();
        if (server) server->reset();
        is_cut = true;
    }

    Connections& books;
    Wire box;
    Flow flow;
    std::optional<Verdict> verdict;
    std::optional<Wire> server;
    bool is_cut = false;
    Connections::iterator entry;
};

Relay::Relay(std::shared_ptr<State> state) : state_(std::move(state)) {}

Relay::~Relay() {
    state_->policies.on_change(nullptr);
    state_->loop.stop();
}

Result<std::unique_ptr<Relay>> Relay::start(const netns::Config& network, netns::Policies& policies, Judge judge,
                                            Interceptor interceptor) {
    auto state = std::make_shared<State>(network, policies, std::move(judge), std::move(interceptor));
    UniqueFd socket = TRY_IN("starting the relay of boxes' connections",
                             netns::gateway_socket(SOCK_STREAM, network.gateway(), network.relay));
    boost::system::error_code failed;
    state->acceptor.emplace(state->loop);
    state->acceptor->assign(Tcp::v4(), socket.get(), failed);
    if (failed) return errno_error("listening for boxes' connections", failed.value());
    (void)socket.release();  // the acceptor's now
    State* const raw = state.get();
    spawn_lasting(state->loop.get_executor(), "accepting boxes' connections", [raw] { return raw->accept_all(); });
    policies.on_change([weak = std::weak_ptr(state)](netns::Ipv4 box) {
        if (const auto here = weak.lock()) here->reconsider(box);
    });
    try {
        state->thread = std::jthread([raw] { raw->run(); });
    } catch (const std::system_error& failure) {
        return errno_error("starting the thread of the relay", failure.code().value());
    }
    return std::unique_ptr<Relay>(new Relay(std::move(state)));
}

void Relay::reconsider(netns::Ipv4 box) {
    state_->reconsider(box);
}

void Relay::State::reconsider(netns::Ipv4 box) {
    asio::post(loop, [this, box] { judge_again(box); });
}

// What a handler throws must not end the daemon.
void Relay::State::run() {
    for (bool again = true; again;) {
        again = false;
        try {
            loop.run();
        } catch (const std::exception& thrown) {
            log_error("the relay of boxes' connections: {}", thrown.what());
            again = true;
        }
    }
}

Task<> Relay::State::accept_all() {
    for (;;) {
        Tcp::socket socket(loop);
        Tcp::endpoint peer;
        const auto [failed] = co_await acceptor->async_accept(socket, peer, kAwait);
        if (!failed) {
            admit(std::move(socket), peer);
            continue;
        }
        log_error("accepting a box's connection: {}", failed.message());
        co_await wait_until(asio::steady_timer::clock_type::now() + kAcceptPause);
    }
}

// Those beyond the limits, and those of which the kernel knows no other destination, are reset.
void Relay::State::admit(Tcp::socket socket, const Tcp::endpoint& peer) {
    const netns::Ipv4 box{peer.address().to_v4().to_uint()};
    Wire::Socket generic(std::move(socket));
    const auto destination = original_destination(generic.native_handle());
    set_tcp_options(generic);
    Wire wire(std::move(generic), nullptr);
    wire.reset_at_end(true);
    if (!destination.ok() || connections.size() >= kMostOfAll) return;
    // However many boxes take all that they can, the next one finds it open.
    const size_t most = std::clamp<size_t>((kMostOfAll - connections.size()) / 8, 1, kMostOfBox);
    if (connections.count(box) >= most) return;
    const auto [address, port] = destination.value();
    const Flow flow{.box = box, .address = address, .port = port, .tls = false, .name = ""};
    if (!admits(flow)) return;
    auto connection = std::make_unique<Connection>(connections, std::move(wire), flow);
    spawn(loop.get_executor(), "a connection of the box at " + to_string(box), serve(std::move(connection)));
}

// The firewall has asked the same of its first packet. Since then the policy may have changed, or the box have ended,
// and from the host itself anything can be reached.
bool Relay::State::admits(const Flow& flow) const {
    const netns::Policy policy = policies.of(flow.box);
    return network.range.contains(flow.box) && policy.relays(flow.port) && policy.admits(flow.address) &&
           std::none_of(blocked.begin(), blocked.end(),
                        [&flow](const netns::Prefix& closed) { return closed.contains(flow.address); });
}

void Relay::State::judge_again(netns::Ipv4 box) {
    const auto [begin, end] = connections.equal_range(box);
    for (auto entry = begin; entry != end; ++entry) {
        Connection& connection = *entry->second;
        const bool stands =
            admits(connection.flow) && (!connection.verdict || judge(connection.flow) == *connection.verdict);
        if (!stands) connection.cut();
    }
}

// What was read by the time that it could be told, or could not be waited for any longer. Nothing for who has left.
static Task<std::optional<Opening>> read_opening(Wire& box, std::string& begun) {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + kOpeningPatience;
    OpeningScan scan;
    for (;;) {
        Opening opening = scan.look(begun);
        if (opening.kind != Opening::Kind::kUnknown) co_return opening;
        const auto left = std::chrono::duration_cast<Millis>(deadline - Clock::now());
        const size_t had = begun.size();
        if (had >= OpeningScan::kMostBytes || left <= Millis::zero()) break;
        begun.resize(OpeningScan::kMostBytes);
        const auto came = co_await box.read_some(begun.data() + had, begun.size() - had, left);
        begun.resize(had + (came.ok() ? came.value() : 0));
        if (!came.ok() && came.error().kind == ErrorKind::kTimeout) break;
        if (!came.ok() || came.value() == 0) co_return std::nullopt;
    }
    co_return Opening{Opening::Kind::kOther, ""};
}

Task<> Relay::State::serve(std::unique_ptr<Connection> connection) {
    std::string begun;
    const auto opening = co_await read_opening(connection->box, begun);
    if (!opening || connection->is_cut) co_return;
    Flow& flow = connection->flow;
    flow.tls = opening->kind == Opening::Kind::kTls;
    flow.name = opening->name;
    connection->verdict = judge(flow);
    if (connection->verdict == Verdict::kRefuse) {
        const bool http = opening->kind == Opening::Kind::kHttp;
        const std::string_view words = flow.tls ? kTlsRefusal : http ? kHttpRefusal : std::string_view();
        (void)co_await connection->box.write(words, kPatience.farewell);
        if (!words.empty()) {
            connection->box.reset_at_end(false);
            co_await connection->box.say_farewell(kPatience.farewell);
        }
        co_return;
    }
    if (connection->verdict == Verdict::kIntercept) {
        co_await interceptor(connection->box, std::move(begun), flow);
        co_return;
    }
    co_await pass_on(*connection, std::move(begun));
}

// Each direction ends by itself, as between the two if nobody were in between; an error ends both.
Task<> Relay::State::pass_on(Connection& connection, std::string begun) {
    auto server = co_await connect_for_box(connection.flow.address, connection.flow.port);
    if (!server.ok() || connection.is_cut) co_return;
    connection.server.emplace(std::move(server).value());
    const auto one_way = [&connection](Wire& from, Wire& to, std::string begin) -> Task<> {
        Put put = [&to](std::string_view bytes) { return to.write(bytes, Wire::kForever); };
        const bool ended = co_await carry(from, std::move(begin), std::move(put));
        if (ended) to.end_writing();
        if (!ended) connection.cut();
    };
    Event sent(loop.get_executor());
    const auto outwards = [&]() -> Task<> {
        co_await one_way(connection.box, *connection.server, std::move(begun));
        sent.set();
        co_await for_ever();
    };
    const auto inwards = [&]() -> Task<> {
        co_await one_way(*connection.server, connection.box, std::string());
        co_await sent.wait();
    };
    co_await ends_before(inwards(), outwards());
    connection.box.reset_at_end(connection.is_cut);
    connection.server->reset_at_end(connection.is_cut);
}

}  // namespace hutch::daemon
