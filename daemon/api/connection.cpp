#include "daemon/api/connection.h"

#include <fmt/format.h>

#include "daemon/api/codec.h"
#include "daemon/api/http_exchange.h"
#include "daemon/api/quiet.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "daemon/wire/preview_host.h"

namespace hutch::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBufferLimit = 256 * 1024;  // of what is not parsed yet: else a chunk's extension grows without end

// A page in a browser must not reach the API of whoever looks at it: browsers send Origin, our clients never do.
Result<Caller> authorize(const Request& request, const ConnectionRules& rules, Client& client) {
    if (rules.is_member) return told_caller(request);
    if (!request.header("origin").empty()) {
        return Error{ErrorKind::kUnauthorized, 0, "Origin: requests from web pages are refused"};
    }
    if (!rules.keyed) return client.caller;
    auto caller = rules.auth.by_key(request.credential("x-box-api-key"));
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

// Counted for whoever has shown a key on it last. One too many ends with this answer.
Result<void> count(const ConnectionRules& rules, const Caller& caller, Client& client) {
    if (!rules.keyed || client.customer == caller.customer) return {};
    client.refused = true;
    client.place = TRY(rules.limits.take(caller.customer, Resource::kConnections));
    client.refused = false;
    client.customer = caller.customer;
    return {};
}

// For who watches the daemon, and has no key: it serves, or is about to end. Before it serves nobody answers.
std::optional<Response> health(const Request& request, const ConnectionRules& rules) {
    if (rules.all || request.path != "/healthz" || (request.method != "GET" && request.method != "HEAD")) return {};
    const bool stopping = rules.open.closed();
    return answer(Json{{"status", stopping ? "stopping" : "serving"}}, stopping ? 503 : 200);
}

// Node's fetch gives an answer up whose head has not come after 300 s, and takes an interim one for a sign of life.
// Only it is told so: others (Python's http.client) take that for the answer.
bool wants_signs_of_life(const Request& request) {
    const std::string program = request.header("user-agent");
    return program.starts_with("node") || program.starts_with("undici");
}

class SignsOfLife {
  public:
    SignsOfLife(HttpExchange& exchange, const asio::any_io_executor& executor) : exchange_(exchange), timer_(executor) {
        wait();
    }
    SignsOfLife(const SignsOfLife&) = delete;
    SignsOfLife& operator=(const SignsOfLife&) = delete;
    ~SignsOfLife() { *wanted_ = false; }

  private:
    void wait() {
        timer_.expires_after(kLongestQuiet);
        timer_.async_wait([this, wanted = wanted_](const boost::system::error_code& cancelled) {
            if (cancelled || !*wanted) return;
            spawn(timer_.get_executor(), "telling a client that its request is worked on", tell(exchange_, wanted));
            wait();
        });
    }
    // What it has begun to write, the exchange waits for.
    static Task<> tell(HttpExchange& exchange, std::shared_ptr<bool> wanted) {
        if (*wanted) co_await exchange.say_working();
    }

    HttpExchange& exchange_;
    asio::steady_timer timer_;
    std::shared_ptr<bool> wanted_ = std::make_shared<bool>(true);
};

// A page that a box serves is of that host: what it asks there must not be answered by us.
std::optional<Response> other_host(const Request& request, const ConnectionRules& rules) {
    if (!rules.keyed || !parse_preview_host(request.header("host"), rules.preview_domain)) return {};
    return refusal(421, "Host: is the public URL of a box; the API is at another address");
}

Task<Result<std::optional<Response>>> handle(HttpExchange& exchange, const ConnectionRules& rules, Client& client,
                                             const std::function<void(Stage)>& note) {
    CO_TRY(exchange.understand());
    const Request& request = exchange.request();
    exchange.mutable_request().address = rules.is_member ? request.header(kToldAddress) : client.address;
    if (rules.all) co_return co_await rules.all(exchange, {});
    std::optional<SignsOfLife> signs;
    if (wants_signs_of_life(request) && !rules.is_member) signs.emplace(exchange, co_await asio::this_coro::executor);
    if (auto refused = other_host(request, rules)) co_return refused;
    if (auto healthy = health(request, rules)) co_return healthy;
    if (auto refused = guesses_too_much(rules, client)) co_return refused;
    CO_TRY_LET(exchange.mutable_request().caller, authorize(request, rules, client));
    CO_TRY(count(rules, request.caller, client));
    if (auto refused = asks_too_much(rules, request.caller)) co_return refused;
    exchange.charge(rules.memory);
    const Router::Match match = rules.router.match(request.method, request.path);
    if (match.handler == nullptr) {
        const std::string what = request.method + " " + request.path;
        co_return std::optional(match.status == 405 ? refusal(405, what + ": this method is not for this path")
                                                    : refusal(404, what + ": there is no such call"));
    }
    if (rules.elsewhere == nullptr) {
        CO_TRY(rules.router.check(exchange, match.params));
        co_return co_await (*match.handler)(exchange, match.params);
    }
    Elsewhere::Answer here = [&]() -> Task<Result<std::optional<Response>>> {
        CO_TRY(rules.router.check(exchange, match.params));
        co_return co_await (*match.handler)(exchange, match.params);
    };
    std::function<void()> untied = [&note] { note(Stage::kIdle); };
    Elsewhere::Call call{exchange, match.params, std::move(here), std::move(untied)};
    co_return co_await rules.elsewhere->answer(call);
}

int status_of(const HttpExchange& exchange, const Result<std::optional<Response>>& outcome) {
    if (!outcome.ok()) return http_status(outcome.error());
    return exchange.begun() || !outcome.value() ? 200 : outcome.value()->status;
}

// Who made, changed or deleted what. Work in boxes is on record with them, as runs.
void note_change(const HttpExchange& exchange, const Client& client, CallEnd end) {
    const Request& request = exchange.request();
    constexpr size_t kLongest = 256;
    std::string about;
    for (const std::string& id : exchange.concerned()) about += (about.empty() ? "; it concerns " : " ") + id;
    const std::string from = client.address.empty() ? "" : " from " + client.address;
    log_info("audit: {}{}: {} {}: {}{}", request.caller.who, from, request.method, request.path.substr(0, kLongest),
             name_of(end), about);
}

// What came of a request, to its answer, or to the end of one that is a stream.
void take_account(const HttpExchange& exchange, const ConnectionRules& rules, const Client& client, CallEnd end,
                  Clock::time_point begin) {
    const Request& request = exchange.request();
    if (rules.all || exchange.upgraded()) return;
    const CallKind kind = kind_of_call(request.method, request.path);
    rules.timings.add(kind, end, Clock::now() - begin);
    const bool changed = kind == CallKind::kChange || kind == CallKind::kCreate;
    if (changed && end != CallEnd::kRefused) note_change(exchange, client, end);
}

Task<bool> serve_one(HttpExchange& exchange, const ConnectionRules& rules, Client& client,
                     const std::function<void(Stage)>& note) {
    const auto begin = Clock::now();
    Result<std::optional<Response>> outcome = std::optional<Response>();
    try {
        outcome = co_await handle(exchange, rules, client, note);
    } catch (const std::exception& thrown) {  // of a library, or out of memory: this request's end, not the daemon's
        outcome = Error{ErrorKind::kSystem, 0, thrown.what()};
    }
    co_await exchange.settled();
    const bool left = exchange.left() || (exchange.upgraded() && !outcome.ok() && outcome.error().code == ECONNRESET);
    take_account(exchange, rules, client, left ? CallEnd::kLeft : end_of_call(status_of(exchange, outcome)), begin);
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
        co_await exchange.send(std::move(response), client.refused || rules.open.closed() ? Stay::kNo : Stay::kYes);
    }
    co_return exchange.keep_alive();
}

}  // namespace

Task<> serve_connection(Wire wire, ConnectionRules rules, Client client, std::function<void(Stage)> note) {
    const auto greeted = co_await wire.shake_hands(rules.patience.head);
    if (!greeted.ok()) co_return;
    if (rules.is_member && !rules.is_member(wire.peer_name())) {
        log_warning("a connection from {}: its certificate names \"{}\", which is no host of the fleet", client.address,
                    wire.peer_name());
        co_return;
    }
    bool unread = false;
    boost::beast::flat_buffer buffer(kBufferLimit);
    for (bool more = true; more;) {
        HttpExchange exchange(wire, buffer, rules.patience, rules.decoders);
        const HttpExchange::Head head = co_await exchange.read_head([&note] { note(Stage::kArriving); });
        if (head.refusal) {
            co_await exchange.send(refusal(head.refusal->status, head.refusal->sentence));
        }
        unread = head.refusal.has_value();
        if (!head.whole) break;
        note(Stage::kBusy);
        more = co_await serve_one(exchange, rules, client, note);
        if (exchange.upgraded()) co_return;
        note(Stage::kIdle);
        if (rules.open.closed()) wire.hear_no_more();  // an answer begun before did not say that it is the last
        unread = exchange.unread();
        if (buffer.size() == 0) buffer = boost::beast::flat_buffer(kBufferLimit);  // an upload's is large
    }
    if (unread) co_await wire.say_farewell(rules.patience.farewell);
}

}  // namespace hutch::daemon
