// The models' gateway: a door at the boxes' gateway address through which an agent's program calls its model. It takes
// the run's token off, puts the provider's key on, and passes the rest through as it comes.

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "daemon/api/resources.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;
using namespace asio::experimental::awaitable_operators;

constexpr size_t kMostBody = 32 << 20;  // bytes; providers take no more

// Of the connection between the two, of the run's token, or of a place that it does not come from.
bool is_passed_on(const std::string& name) {
    static const char* const kKept[] = {"accept-encoding",
                                        "authorization",
                                        "connection",
                                        "content-length",
                                        "cookie",
                                        "expect",
                                        "host",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "forwarded",
                                        "transfer-encoding",
                                        "upgrade",
                                        "x-api-key",
                                        "via"};
    return std::none_of(std::begin(kKept), std::end(kKept), [&name](const char* kept) { return name == kept; }) &&
           !name.starts_with("proxy-") && !name.starts_with("x-forwarded-");
}

bool is_told(const std::string& name) {
    return name == "retry-after" || name == "request-id" || name == "content-encoding" || name.starts_with("x-") ||
           name.starts_with("anthropic-") || name.starts_with("openai-");
}

// A key opens more than models: files, accounts, bills. Those are not an agent's.
bool is_model_call(const Request& request) {
    if (request.path.find("..") != std::string::npos) return false;
    const bool asks = request.method == "GET" && request.path.starts_with("/v1/models");
    const bool calls = request.path.starts_with("/v1/messages") || request.path.starts_with("/v1/responses") ||
                       request.path.starts_with("/v1/chat/completions");
    return asks || (request.method == "POST" && calls);
}

std::string token_of(const Request& request) {
    const std::string key = request.header("x-api-key");
    const std::string bearer = request.header("authorization");
    constexpr std::string_view kScheme = "Bearer ";
    return key.empty() && bearer.starts_with(kScheme) ? bearer.substr(kScheme.size()) : key;
}

// As both kinds of API tell errors, so that a program shows the sentence.
Response refusal(int status, const std::string& why) {
    const Json error{{"type", "hutch_error"}, {"message", "hutch: " + why}};
    return answer(Json{{"type", "error"}, {"error", error}}, status);
}

FetchCall call_of(const Request& request, const Models::Way& way, std::string body) {
    FetchCall call{request.method, way.provider->url + request.target, {}, std::move(body)};
    for (const auto& [name, value] : request.headers) {
        if (is_passed_on(name)) call.headers.push_back(name + ": " + value);
    }
    const bool anthropic = way.provider->name == "anthropic";
    call.headers.push_back((anthropic ? "x-api-key: " : "authorization: Bearer ") + way.key);
    call.headers.emplace_back("expect:");  // libcurl's own, which costs a round trip
    return call;
}

// An answer that breaks off must not look like one that has ended: without end() the connection is cut, too.
Task<Result<void>> pass_on(Exchange& exchange, Fetch& fetch, const Fetch::Head& head) {
    std::map<std::string, std::string> headers;
    std::string type = "application/octet-stream";
    for (const auto& [name, value] : head.headers) {
        if (name == "content-type") type = value;
        if (is_told(name)) headers[name] = value;
    }
    CO_TRY(co_await exchange.begin(static_cast<int>(head.status), type, std::move(headers)));
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await fetch.read());
        if (piece.empty()) break;
        CO_TRY(co_await exchange.write(piece));
    }
    co_return co_await exchange.end();
}

Task<Result<std::optional<Response>>> relay(Exchange& exchange, Fetch& fetch) {
    const auto head = co_await fetch.head();
    if (!head.ok()) {
        log_warning("{}", head.error().message);
        co_return std::optional(refusal(502, head.error().message));
    }
    const auto passed = co_await pass_on(exchange, fetch, head.value());
    if (!passed.ok()) log_warning("an answer of a model broke off: {}", passed.error().message);
    co_return std::optional<Response>();
}

Answer forward(const Models& models, Fetcher& fetcher, Exchange& exchange) {
    const Request& request = exchange.request();
    const auto way = models.find(token_of(request), request.address);
    if (!way.ok()) co_return std::optional(refusal(http_status(way.error()), way.error().message));
    if (!is_model_call(request)) {
        co_return std::optional(refusal(404, request.method + " " + request.path + " is no call of a model"));
    }
    auto body = co_await exchange.read_body(kMostBody);
    if (!body.ok()) co_return std::optional(refusal(http_status(body.error()), body.error().message));
    Fetch fetch = fetcher.start(call_of(request, way.value(), std::move(body).value()));
    auto done = co_await (relay(exchange, fetch) || exchange.client_gone());
    if (done.index() == 0) co_return std::get<0>(std::move(done));
    co_return std::optional(refusal(408, "the caller ended its side of the connection"));
}

}  // namespace

Handler model_gateway(const Models& models, Fetcher& fetcher) {
    return [&models, &fetcher](Exchange& exchange, const Params&) { return forward(models, fetcher, exchange); };
}

}  // namespace hutch::daemon
