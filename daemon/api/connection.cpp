#include "daemon/api/connection.h"

#include "daemon/api/codec.h"
#include "daemon/api/http_exchange.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr size_t kBufferLimit = 256 * 1024;  // of what is not parsed yet: else a chunk's extension grows without end

// A page in a browser must not reach the API of whoever looks at it: browsers send Origin, our clients never do.
Result<Caller> authorize(const Request& request, const ConnectionRules& rules, const Result<Caller>& peer) {
    if (!request.header("origin").empty()) {
        return Error{ErrorKind::kUnauthorized, 0, "Origin: requests from web pages are refused"};
    }
    if (rules.keyed) return rules.auth.by_key(request.header("x-box-api-key"));
    return peer;
}

Response refusal(int status, const std::string& error) {
    return answer(Json{{"error", error}}, status);
}

Task<Result<std::optional<Response>>> handle(HttpExchange& exchange, const ConnectionRules& rules,
                                             const Result<Caller>& peer) {
    CO_TRY(exchange.understand());
    const Request& request = exchange.request();
    CO_TRY_LET(exchange.mutable_request().caller, authorize(request, rules, peer));
    const Router::Match match = rules.router.match(request.method, request.path);
    if (match.handler == nullptr) {
        const std::string what = request.method + " " + request.path;
        co_return std::optional(match.status == 405 ? refusal(405, what + ": this method is not for this path")
                                                    : refusal(404, what + ": there is no such call"));
    }
    CO_TRY(rules.router.check(exchange, match.params));
    co_return co_await (*match.handler)(exchange, match.params);
}

Task<bool> serve_one(HttpExchange& exchange, const ConnectionRules& rules, const Result<Caller>& peer) {
    Result<std::optional<Response>> outcome = std::optional<Response>();
    try {
        outcome = co_await handle(exchange, rules, peer);
    } catch (const std::exception& thrown) {  // of a library, or out of memory: this request's end, not the daemon's
        outcome = Error{ErrorKind::kSystem, 0, thrown.what()};
    }
    if (!outcome.ok() && http_status(outcome.error()) == 500) {
        log_error("{} {}: {}", exchange.request().method, exchange.request().path, outcome.error().message);
    }
    if (exchange.upgraded()) co_return false;
    if (!exchange.begun()) {
        const Response response = outcome.ok() ? outcome.value().value_or(Response{}) : answer(outcome.error());
        co_await exchange.send(response);
    }
    co_return exchange.keep_alive();
}

}  // namespace

Task<> serve_connection(Wire wire, ConnectionRules rules, Result<Caller> peer, std::function<void(bool)> on_busy) {
    const auto greeted = co_await wire.shake_hands(rules.patience.head);
    if (!greeted.ok()) co_return;
    bool unread = false;
    boost::beast::flat_buffer buffer(kBufferLimit);
    for (bool more = true; more;) {
        HttpExchange exchange(wire, buffer, rules.patience);
        const HttpExchange::Head head = co_await exchange.read_head();
        if (head.refusal) {
            const Response response = refusal(head.refusal->status, head.refusal->sentence);
            co_await exchange.send(response);
        }
        unread = head.refusal.has_value();
        if (!head.whole) break;
        on_busy(true);
        more = co_await serve_one(exchange, rules, peer);
        on_busy(false);
        if (exchange.upgraded()) co_return;
        unread = exchange.unread();
        if (buffer.size() == 0) buffer = boost::beast::flat_buffer(kBufferLimit);  // an upload's is large
    }
    if (unread) co_await wire.say_farewell(rules.patience.farewell);
}

}  // namespace hutch::daemon
