#include "daemon/proxy/peers.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "daemon/log.h"
#include "daemon/proxy/box_server.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPeerRestart{3};  // of another host's hutchd
constexpr std::chrono::seconds kPeerHandshake{3};
constexpr std::chrono::seconds kWireKept{60};  // less than the other side waits for a request
constexpr size_t kMostPeerWires = 64;          // connections to one host
constexpr std::chrono::minutes kTakesNothing{1};
constexpr size_t kPeerPiece = 64 * 1024;

Task<> until_moment(Clock::time_point moment) {
    asio::steady_timer timer(co_await asio::this_coro::executor, moment);
    co_await timer.async_wait(kAwait);
}

std::string head_text(const PeerCall& call, const Pairs& told) {
    std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: hutch\r\n", call.method, call.target);
    for (const auto& [name, value] : call.headers) head += name + ": " + value + "\r\n";
    for (const auto& [name, value] : told) head += name + ": " + value + "\r\n";
    if (!call.body.empty()) head += fmt::format("Content-Length: {}\r\n", call.body.size());
    return head + "\r\n";
}

}  // namespace

Pairs passed_headers(const Request& request) {
    Pairs headers;
    for (const char* name : {"content-type", "idempotency-key", "user-agent"}) {
        const auto found = request.headers.find(name);
        if (found != request.headers.end()) headers.emplace_back(name, found->second);
    }
    return headers;
}

Task<Result<Wire>> Peers::open(std::string host) {
    using Tcp = asio::ip::tcp;
    const auto found = fleet_.directory().hosts().find(host);
    if (found == fleet_.directory().hosts().end()) {
        co_return Error{ErrorKind::kNotFound, 0, "host " + host + " is not there"};
    }
    const auto at = parse_endpoint(found->second.address);
    boost::system::error_code failed;
    const auto address = asio::ip::make_address(at ? at->address : "", failed);
    if (failed) co_return Error{ErrorKind::kNotFound, 0, "host " + host + " has no address"};
    Wire::Socket socket(executor_);
    const Tcp::endpoint to(address, at->port);
    failed = asio::error::timed_out;
    const auto connecting = [&]() -> Task<> { std::tie(failed) = co_await socket.async_connect(to, kAwait); };
    const auto limit = Clock::now() + kPeerRestart;
    co_await ends_before(connecting(), until_moment(limit));
    if (failed) co_return Error{ErrorKind::kNotFound, failed.value(), "host " + host + ": " + failed.message()};
    set_tcp_options(socket);
    Wire wire(std::move(socket), nullptr);
    const auto shaken = co_await wire.connect_tls(tls_->client_context(), host, kPeerHandshake);
    if (!shaken.ok()) {
        co_return Error{ErrorKind::kNotFound, 0, "host " + host + ", by TLS: " + shaken.error().message};
    }
    co_return wire;
}

std::optional<Wire> Peers::kept(const std::string& host) {
    auto& kept = kept_[host];
    while (!kept.empty()) {
        Kept one = std::move(kept.back());
        kept.pop_back();
        if (one.since + kWireKept > Clock::now() && one.wire.is_quiet()) return std::move(one.wire);
    }
    return std::nullopt;
}

Task<Result<Wire>> Peers::connect(std::string host) {
    auto one = kept(host);
    if (one) co_return *std::move(one);
    co_return co_await connect_anew(host);
}

// One that is being restarted tells of itself as soon as it is back.
Task<Result<Wire>> Peers::connect_anew(std::string host) {
    const auto limit = Clock::now() + kPeerRestart;
    for (;;) {
        auto opened = co_await open(host);
        const bool refused = !opened.ok() && opened.error().code == ECONNREFUSED;
        if (!refused || Clock::now() >= limit) co_return opened;
        co_await ends_before(fleet_.hosts_change(), until_moment(limit));
    }
}

void Peers::keep(const std::string& host, Wire wire) {
    auto& kept = kept_[host];
    std::erase_if(kept, [](const Kept& one) { return one.since + kWireKept <= Clock::now(); });
    if (kept.size() < kMostPeerWires) kept.push_back({std::move(wire), Clock::now()});
}

std::string Peers::state_of(const std::string& host) const {
    const Directory& directory = fleet_.directory();
    if (!directory.members().contains(host)) return "which is no member of the fleet any more";
    if (directory.hosts().contains(host)) return "which does not answer";
    const auto since = directory.silent_since(host);
    if (!since) return "which is not there";
    return fmt::format("silent since {:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(*since)));
}

Task<Result<Response>> Peers::read_answer(Wire& wire, const std::string& host, size_t most, bool& stays) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(most);
    parser.eager(true);
    boost::beast::flat_buffer buffer;
    boost::beast::error_code failed;
    while (!parser.is_done()) {
        const auto space = buffer.prepare(kPeerPiece);
        CO_TRY_LET(const size_t size, co_await wire.read_some(space.data(), kPeerPiece, Wire::kForever));
        if (size == 0) {
            parser.put_eof(failed);
            if (failed || !parser.is_done()) co_return errno_error("host " + host + " ended its answer", ECONNRESET);
            break;
        }
        buffer.commit(size);
        while (buffer.size() > 0 && !parser.is_done()) {
            const size_t used = parser.put(buffer.data(), failed);
            buffer.consume(used);
            if (failed == http::error::need_more || used == 0) break;
            if (failed) co_return Error{ErrorKind::kSystem, EPROTO, "host " + host + " answered: " + failed.message()};
        }
    }
    stays = parser.keep_alive() && buffer.size() == 0;
    const auto& message = parser.get();
    Response response;
    response.status = static_cast<int>(message.result_int());
    response.content_type = std::string(message[http::field::content_type]);
    for (const char* name : {"Retry-After", "X-Run-Id"}) {
        if (message.count(name) > 0) response.headers[name] = std::string(message[name]);
    }
    response.body = message.body();
    co_return response;
}

Task<Result<Response>> Peers::ask(std::string host, const Request& asker, PeerCall call) {
    const Pairs told = told_of(asker);
    CO_TRY_LET(Wire wire, co_await connect(host));
    const std::string head = head_text(call, told);
    CO_TRY(co_await wire.write(head, kTakesNothing));
    CO_TRY(co_await wire.write(call.body, kTakesNothing));
    bool stays = false;
    auto answered = co_await read_answer(wire, host, call.most, stays);
    if (answered.ok() && stays) keep(host, wire);
    co_return answered;
}

Refused PeerServer::refusal_of(const Error& error) const {
    if (error.kind != ErrorKind::kNotFound) log_warning("host {}: {}", host_, error.message);
    return {503, "", kRetryLater};  // the door knows what it was for
}

std::string PeerServer::head_of(const http::header<true>& request, const BodyFraming& body) const {
    return head_to_peer(request, told_of(exchange_.request()), web_socket_, body);
}

}  // namespace hutch::daemon
