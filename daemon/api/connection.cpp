#include "daemon/api/connection.h"

#include <fmt/format.h>

#include "daemon/api/codec.h"
#include "daemon/api/http_exchange.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBufferLimit = 256 * 1024;  // of what is not parsed yet: else a chunk's extension grows without end

// A page in a browser must not reach the API of whoever looks at it: browsers send Origin, our clients never do.
Result<Caller> authorize(const Request& request, const ConnectionRules& rules, Client& client) {
    if (!request.header("origin").empty()) {
        return Error{ErrorKind::kUnauthorized, 0, "Origin: requests from web pages are refused"};
    }
    if (!rules.keyed) return client.caller;
    auto caller = rules.auth.by_key(request.header("x-box-api-key"));
    client.known = client.known || caller.ok();
    if (!caller.ok()) (void)rules.wrong_keys.take(client.address, Clock::now());
    return caller;
}

Response refusal(int status, const std::string& error) {
    return answer(Json{{"error", error}}, status);
}

Response too_many(const std::string& what, Millis wait) {
    const auto seconds = std::max<int64_t>(1, std::chrono::ceil<std::chrono::seconds>(wait).count());
    Response response = refusal(429, fmt::format("{}; try again in {} s", what, seconds));
    response.headers["Retry-After"] = std::to_string(seconds);
    return response;
}

// Before the key is looked at, or who guesses would learn of each guess all the same. Who has shown a key on this
// connection is served, whoever guesses beside it.
std::optional<Response> guesses_too_much(const ConnectionRules& rules, const Client& client) {
    if (!rules.keyed || client.known) return std::nullopt;
    const auto wait = rules.wrong_keys.wait(client.address, Clock::now());
    if (!wait) return std::nullopt;
    return too_many("X-Box-Api-Key: too many wrong ones came from your address", *wait);
}

std::optional<Response> asks_too_much(const ConnectionRules& rules, const Caller& caller) {
    if (!rules.keyed) return std::nullopt;
    const auto wait = rules.requests.take(caller.customer, Clock::now());
    if (!wait) return std::nullopt;
    return too_many("requests: more than this key may send in a minute", *wait);
}

Task<Result<std::optional<Response>>> handle(HttpExchange& exchange, const ConnectionRules& rules, Client& client) {
    CO_TRY(exchange.understand());
    const Request& request = exchange.request();
    exchange.mutable_request().address = client.address;
    if (rules.all) co_return co_await rules.all(exchange, {});
    if (auto refused = guesses_too_much(rules, client)) co_return refused;
    CO_TRY_LET(exchange.mutable_request().caller, authorize(request, rules, client));
    if (auto refused = asks_too_much(rules, request.caller)) co_return refused;
    exchange.charge(rules.memory);
    const Router::Match match = rules.router.match(request.method, request.path);
    if (match.handler == nullptr) {
        const std::string what = request.method + " " + request.path;
        co_return std::optional(match.status == 405 ? refusal(405, what + ": this method is not for this path")
                                                    : refusal(404, what + ": there is no such call"));
    }
    CO_TRY(rules.router.check(exchange, match.params));
    co_return co_await (*match.handler)(exchange, match.params);
}

Task<bool> serve_one(HttpExchange& exchange, const ConnectionRules& rules, Client& client) {
    Result<std::optional<Response>> outcome = std::optional<Response>();
    try {
        outcome = co_await handle(exchange, rules, client);
    } catch (const std::exception& thrown) {  // of a library, or out of memory: this request's end, not the daemon's
        outcome = Error{ErrorKind::kSystem, 0, thrown.what()};
    }
    const bool left = exchange.left() || (exchange.upgraded() && !outcome.ok() && outcome.error().code == ECONNRESET);
    if (left) {  // which is its own affair, whatever came of its request
        log_info("{} {}: its client left", exchange.request().method, exchange.request().path);
        co_return false;
    }
    if (!outcome.ok() && http_status(outcome.error()) == 500) {
        log_error("{} {}: {}", exchange.request().method, exchange.request().path, outcome.error().message);
    }
    if (exchange.upgraded()) co_return false;
    if (!exchange.begun()) {
        Response response = outcome.ok() ? std::move(outcome).value().value_or(Response{}) : answer(outcome.error());
        co_await exchange.send(std::move(response));
    }
    co_return exchange.keep_alive();
}

}  // namespace

Task<> serve_connection(Wire wire, ConnectionRules rules, Client client, std::function<void(bool)> on_busy) {
    const auto greeted = co_await wire.shake_hands(rules.patience.head);
    if (!greeted.ok()) co_return;
    bool unread = false;
    boost::beast::flat_buffer buffer(kBufferLimit);
    for (bool more = true; more;) {
        HttpExchange exchange(wire, buffer, rules.patience, rules.decoders);
        const HttpExchange::Head head = co_await exchange.read_head();
        if (head.refusal) {
            co_await exchange.send(refusal(head.refusal->status, head.refusal->sentence));
        }
        unread = head.refusal.has_value();
        if (!head.whole) break;
        on_busy(true);
        more = co_await serve_one(exchange, rules, client);
        on_busy(false);
        if (exchange.upgraded()) co_return;
        unread = exchange.unread();
        if (buffer.size() == 0) buffer = boost::beast::flat_buffer(kBufferLimit);  // an upload's is large
    }
    if (unread) co_await wire.say_farewell(rules.patience.farewell);
}

}  // namespace hutch::daemon
