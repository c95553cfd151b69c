// The models' gateway: a door at the boxes' gateway address through which an agent's program calls its model. It takes
// the run's token off, puts the provider's key on, and passes the rest through as it comes.

#include <set>

#include "daemon/api/model_call.h"
#include "daemon/api/resources.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostCallBody = 32 << 20;  // bytes; providers take no more
constexpr size_t kMostOfAll = 512 << 20;    // of all calls under way
constexpr size_t kPart = 8;                 // a box's calls take a ninth of what the others leave
constexpr size_t kOfCall = 256 << 10;       // beside the body: of the answer, what waits for a slow reader

// Whose account it is, is not the box's business.
bool is_told(const std::string& name) {
    if (name.find("organization") != std::string::npos || name.find("project") != std::string::npos) return false;
    return name == "retry-after" || name == "request-id" || name == "content-encoding" || name.starts_with("x-") ||
           name.starts_with("anthropic-") || name.starts_with("openai-");
}

bool costs(const Request& request) {
    return request.method == "POST" && !request.path.ends_with("/count_tokens");
}

// As both kinds of API tell errors, so that a program shows the sentence.
Response refuse_call(int status, const std::string& why) {
    const Json error{{"type", "hutch_error"}, {"message", "hutch: " + why}};
    return answer(Json{{"type", "error"}, {"error", error}}, status);
}

FetchCall call_of(const Request& request, const Models::Way& way, std::string body) {
    FetchCall call{request.method, way.provider->url + request.target, {}, std::move(body)};
    for (const auto& [name, value] : request.headers) {
        if (is_told_to_provider(name)) call.headers.push_back(name + ": " + value);
    }
    const bool anthropic = way.provider->name == "anthropic";
    call.headers.push_back((anthropic ? "x-api-key: " : "authorization: Bearer ") + way.key);
    call.headers.emplace_back("expect:");  // libcurl's own, which costs a round trip
    return call;
}

// An answer that breaks off must not look like one that has ended: without end() the connection is cut, too.
Task<Result<void>> pass_on(Exchange& exchange, Fetch& fetch, const Fetch::Head& head, SpendOfCall& spend) {
    std::map<std::string, std::string> headers;
    std::string type = "application/octet-stream";
    for (const auto& [name, value] : head.headers) {
        if (name == "content-type") type = value;
        if (is_told(name)) headers[name] = value;
    }
    // A key that the provider does not take is not the program's to mend, which of a 401 would try again for a minute.
    const int64_t status = head.status == 401 ? 400 : head.status;
    CO_TRY(co_await exchange.begin(static_cast<int>(status), type, std::move(headers)));
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await fetch.read());
        if (piece.empty()) break;
        spend.take(piece);
        CO_TRY(co_await exchange.write(piece));
    }
    co_return co_await exchange.end();
}

// Where the provider is, and what may be in its address, is the operator's own.
Answer relay(Exchange& exchange, Fetch& fetch, const std::string& provider, SpendOfCall& spend) {
    const auto head = co_await fetch.head();
    if (!head.ok()) {
        log_warning("{}", head.error().message);
        co_return std::optional(refuse_call(502, provider + " cannot be reached; the log of hutchd tells why"));
    }
    constexpr int64_t kNoContent = 204;
    constexpr int64_t kNotModified = 304;
    if (head.value().status == kNoContent || head.value().status == kNotModified) {  // they end with their head
        co_return std::optional(refuse_call(502, provider + " sent an answer that has no body"));
    }
    constexpr int64_t kRefused = 300;
    if (head.value().status < kRefused && costs(exchange.request())) spend.begin();
    const auto passed = co_await pass_on(exchange, fetch, head.value(), spend);
    if (!passed.ok()) log_warning("an answer of a model broke off: {}", passed.error().message);
    co_return std::optional<Response>();
}

// A body is kept until its call has ended: it may have to be sent again, on another connection.
Task<Result<std::string>> read_into(MemoryShare& share, Exchange& exchange) {
    BackgroundScan scan;
    const bool may_be_in_background = exchange.request().path == "/v1/responses";
    const Error full{ErrorKind::kLimit, 0, "too much is being sent to models at once; try again when it is answered"};
    if (!share.grow(kOfCall).ok()) co_return full;
    std::string body;
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await exchange.read_some());
        if (piece.empty()) co_return body;
        if (body.size() + piece.size() > kMostCallBody) {
            co_return Error{ErrorKind::kTooLarge, 0, "body: larger than " + std::to_string(kMostCallBody) + " bytes"};
        }
        if (!share.grow(piece.size()).ok()) co_return full;
        if (may_be_in_background) scan.feed(piece);
        if (scan.refusal()) co_return invalid(*scan.refusal());
        body += piece;
    }
}

Answer forward(const Models& models, Spending spending, Fetcher& fetcher, std::shared_ptr<MemoryBudget> memory,
               Exchange& exchange) {
    const Request& request = exchange.request();
    const auto way = models.find(request.credential("x-api-key"), request.address);
    if (!way.ok()) co_return std::optional(refuse_call(http_status(way.error()), way.error().message));
    if (!is_model_call(request.method, request.path)) {
        co_return std::optional(refuse_call(404, request.method + " " + request.path + " is no call of a model"));
    }
    if (!request.header("content-encoding").empty()) {  // what cannot be read cannot be looked at
        co_return std::optional(refuse_call(415, "Content-Encoding: send the body as it is"));
    }
    const std::string customer = way.value().customer;
    const auto allowed = spending.limits.check(customer, Resource::kModelTokens, 1);
    if (costs(request) && !allowed.ok()) co_return std::optional(refuse_call(429, allowed.error().message));
    MemoryShare share(std::move(memory), request.address);
    auto body = co_await read_into(share, exchange);
    if (!body.ok()) {
        Response refused = refuse_call(http_status(body.error()), body.error().message);
        if (body.error().kind == ErrorKind::kLimit) refused.headers["Retry-After"] = "1";
        co_return std::optional(std::move(refused));
    }
    SpendOfCall spend(spending.spend, customer, body.value().size());
    Fetch fetch = fetcher.start(call_of(request, way.value(), std::move(body).value()));
    auto done = co_await unless(exchange.client_gone(), relay(exchange, fetch, way.value().provider->name, spend));
    if (!done) co_return client_left();
    co_return *std::move(done);
}

}  // namespace

Handler model_gateway(const Models& models, Spending spending, Fetcher& fetcher) {
    const auto memory = std::make_shared<MemoryBudget>(kMostOfAll, kPart);
    return [&models, spending, &fetcher, memory](Exchange& exchange, const Params&) {
        return forward(models, spending, fetcher, memory, exchange);
    };
}

}  // namespace hutch::daemon
