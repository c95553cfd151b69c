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
#include "daemon/wire/request_hosts.h"
#include "daemon/wire/tls_hellos.h"
#include "netns/dns_socket.h"

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
    State(const netns::Config& its_network, netns::Policies& its_policies, Judge its_judge, Interceptor its_interceptor,
          OnRefused its_on_refused)
        : network(its_network),
          policies(its_policies),
          names(its_network, its_policies),
          judge(std::move(its_judge)),
          interceptor(std::move(its_interceptor)),
          on_refused(std::move(its_on_refused)) {}

    struct Connection;
    using Connections = std::multimap<netns::Ipv4, Connection*>;

    Task<> accept_all();
    void run();
    void admit(Tcp::socket socket, const Tcp::endpoint& peer);
    Task<> serve(std::unique_ptr<Connection> connection);
    /// Reads what the box says first, and judges it; else it is told why not, where its protocol can.
    Task<bool> hear(Connection& connection, std::string& begun, Millis patience);
    Task<> pass_on(Connection& connection, std::optional<std::string> begun);
    Task<> send(Connection& connection, std::optional<std::string> begun);
    Task<> receive(Connection& connection);
    [[nodiscard]] bool admits(const Flow& flow) const;
    [[nodiscard]] Verdict verdict_on(const Flow& flow) const;
    [[nodiscard]] Verdict verdict_by(const Flow& flow, netns::Egress rule) const;
    /// By its box's policy.
    [[nodiscard]] netns::Egress rule_for(const Flow& flow) const;
    void refused(const Flow& flow, netns::Egress rule) const;
    void follow(Connection& connection, const Opening& opening);
    void reconsider(netns::Ipv4 box);
    void judge_again(netns::Ipv4 box);

    const netns::Config network;
    netns::Policies& policies;
    const netns::Names names;
    const Judge judge;
    const Interceptor interceptor;
    const OnRefused on_refused;
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
    std::optional<RequestHosts> requests;  ///< where each is judged
    std::optional<TlsHellos> hellos;
    bool server_spoke = false;
    bool is_cut = false;
    Connections::iterator entry;
};

Relay::Relay(std::shared_ptr<State> state) : state_(std::move(state)) {}

Relay::~Relay() {
    state_->policies.on_change(nullptr);
    state_->loop.stop();
}

Result<std::unique_ptr<Relay>> Relay::start(const netns::Config& network, netns::Policies& policies, Judge judge,
                                            Interceptor interceptor, OnRefused on_refused) {
    auto state =
        std::make_shared<State>(network, policies, std::move(judge), std::move(interceptor), std::move(on_refused));
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
    const Flow flow{
        .box = box, .address = address, .port = port, .tls = false, .name = "", .led = names.led_to(box, address)};
    if (!admits(flow)) return refused(flow, names.judge(box, address, flow.led));
    auto connection = std::make_unique<Connection>(connections, std::move(wire), flow);
    spawn(loop.get_executor(), "a connection of the box at " + to_string(box), serve(std::move(connection)));
}

// The firewall has asked the same of its first packet. Since then the policy may have changed, or the box have ended,
// and from the host itself anything can be reached.
bool Relay::State::admits(const Flow& flow) const {
    const netns::Policy policy = policies.of(flow.box);
    return network.range.contains(flow.box) && (policy.by_name() || policy.relays(flow.port)) &&
           names.judge(flow.box, flow.address, flow.led) == netns::Egress::kPasses;
}

netns::Egress Relay::State::rule_for(const Flow& flow) const {
    return flow.opaque ? names.judge(flow.box, flow.address, flow.led)
                       : names.judge(flow.box, flow.address, flow.led, flow.name);
}

// The judge is asked for the ports that are relayed for it; others are here for the names of their box's policy alone.
Verdict Relay::State::verdict_by(const Flow& flow, netns::Egress rule) const {
    if (rule != netns::Egress::kPasses) return Verdict::kRefuse;
    return policies.of(flow.box).relays(flow.port) ? judge(flow) : Verdict::kPass;
}

Verdict Relay::State::verdict_on(const Flow& flow) const {
    return verdict_by(flow, rule_for(flow));
}

void Relay::State::refused(const Flow& flow, netns::Egress rule) const {
    if (on_refused && rule != netns::Egress::kPasses) on_refused(flow, rule);
}

void Relay::State::judge_again(netns::Ipv4 box) {
    const auto [begin, end] = connections.equal_range(box);
    for (auto entry = begin; entry != end; ++entry) {
        Connection& connection = *entry->second;
        const bool stands =
            admits(connection.flow) && (!connection.verdict || verdict_on(connection.flow) == *connection.verdict);
        if (!stands) connection.cut();
    }
}

// What was read by the time that it could be told, or could not be waited for any longer. Nothing for who has left.
static Task<std::optional<Opening>> read_opening(Wire& box, std::string& begun, Millis patience) {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    OpeningScan scan;
    for (;;) {
        Opening opening = scan.look(begun);
        if (opening.kind != Opening::Kind::kUnknown) co_return opening;
        const auto waited = std::chrono::duration_cast<Millis>(Clock::now() - begin);
        const Millis left = patience == Wire::kForever ? patience : patience - waited;
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
    const netns::Policy policy = policies.of(connection->flow.box);
    if (!policy.relays(connection->flow.port)) {
        std::optional<std::string> nothing;
        co_await pass_on(*connection, std::move(nothing));
        co_return;
    }
    std::string begun;
    if (!co_await hear(*connection, begun, kOpeningPatience)) co_return;
    if (connection->verdict == Verdict::kIntercept) {
        co_await interceptor(connection->box, std::move(begun), connection->flow);
        co_return;
    }
    // Who has said nothing for so long has not told its name, either.
    std::optional<std::string> heard;
    if (!begun.empty() || !policy.by_name()) heard = std::move(begun);
    if (!heard) connection->verdict.reset();
    co_await pass_on(*connection, std::move(heard));
}

Task<bool> Relay::State::hear(Connection& connection, std::string& begun, Millis patience) {
    const auto opening = co_await read_opening(connection.box, begun, patience);
    if (!opening || connection.is_cut) co_return false;
    const bool by_name = policies.of(connection.flow.box).by_name();
    const bool http = opening->kind == Opening::Kind::kHttp;
    Flow& flow = connection.flow;
    flow.tls = opening->kind == Opening::Kind::kTls;
    flow.opaque = opening->kind == Opening::Kind::kOther && !may_be_web(begun);
    flow.name = by_name && opening->hides_name ? "" : opening->name;
    connection.verdict = verdict_on(flow);
    if (connection.verdict != Verdict::kRefuse) {
        if (by_name) follow(connection, *opening);
        co_return true;
    }
    refused(flow, rule_for(flow));
    const std::string_view words = flow.tls ? kTlsRefusal : http ? kHttpRefusal : std::string_view();
    if (connection.server_spoke || words.empty()) co_return false;
    (void)co_await connection.box.write(words, kPatience.farewell);
    connection.box.reset_at_end(false);
    co_await connection.box.say_farewell(kPatience.farewell);
    co_return false;
}

// What comes after the opening may tell another name.
void Relay::State::follow(Connection& connection, const Opening& opening) {
    const auto is_for = [this, &connection](const Opening& next) {
        connection.flow.name = next.hides_name ? "" : next.name;
        const Flow& flow = connection.flow;
        const netns::Egress rule = names.judge_name(flow.box, flow.address, flow.led, flow.name);
        const bool passes = verdict_by(flow, rule) == connection.verdict;
        if (!passes) refused(flow, rule);
        return passes;
    };
    if (opening.kind == Opening::Kind::kTls) connection.hellos.emplace(is_for);
    if (opening.kind != Opening::Kind::kHttp) return;
    connection.requests.emplace([is_for](std::string_view head) { return is_for(OpeningScan().look(head)); });
}

// Where nothing is heard of the box yet, nothing of it passes until it is.
Task<> Relay::State::send(Connection& connection, std::optional<std::string> begun) {
    if (!begun) {
        begun.emplace();
        const bool heard = co_await hear(connection, *begun, Wire::kForever);
        if (!connection.verdict) {  // it has nothing to say, and may listen
            connection.server->end_writing();
            co_return;
        }
        if (!heard || connection.verdict != Verdict::kPass) {
            connection.cut();
            co_return;
        }
    }
    Put put = [&connection](std::string_view bytes) -> Task<Result<void>> {
        const bool passes = (!connection.requests || connection.requests->take(bytes)) &&
                            (!connection.hellos || connection.hellos->take(bytes));
        if (!passes) co_return errno_error("to another host", EACCES);
        co_return co_await connection.server->write(bytes, Wire::kForever);
    };
    const bool ended = co_await carry(connection.box, std::move(*begun), std::move(put));
    if (ended) connection.server->end_writing();
    if (!ended) connection.cut();
}

Task<> Relay::State::receive(Connection& connection) {
    Put put = [&connection](std::string_view bytes) {
        connection.server_spoke = true;
        if (connection.requests) connection.requests->answered(bytes);
        return connection.box.write(bytes, Wire::kForever);
    };
    std::string nothing;
    const bool ended = co_await carry(*connection.server, std::move(nothing), std::move(put));
    if (ended) connection.box.end_writing();
    if (!ended) connection.cut();
}

// Each direction ends by itself, as between the two if nobody were in between; an error ends both.
Task<> Relay::State::pass_on(Connection& connection, std::optional<std::string> begun) {
    auto server = co_await connect_for_box(connection.flow.address, connection.flow.port);
    if (!server.ok() || connection.is_cut) co_return;
    connection.server.emplace(std::move(server).value());
    Event sent(loop.get_executor());
    const auto outwards = [&]() -> Task<> {
        co_await send(connection, std::move(begun));
        sent.set();
        co_await for_ever();
    };
    const auto inwards = [&]() -> Task<> {
        co_await receive(connection);
        co_await sent.wait();
    };
    co_await ends_before(inwards(), outwards());
    connection.box.reset_at_end(connection.is_cut);
    connection.server->reset_at_end(connection.is_cut);
}

}  // namespace hutch::daemon
