// What is about boxes of several hosts at once.

#include <fmt/format.h>

#include "daemon/api/codec.h"
#include "daemon/proxy/door.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kListPatience{5};  // for one host's part of a list

// What is between the outermost brackets of a list, which another hutchd has written.
std::string_view rows_between(std::string_view text, bool is_array) {
    const size_t begin = is_array ? 0 : text.find('[');
    const size_t end = text.rfind(']');
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return "";
    return text.substr(begin + 1, end - begin - 1);
}

std::string whole_text(Response& response) {
    std::string text = std::move(response.body);
    if (!response.rest) return text;
    for (std::string piece = response.rest(); !piece.empty(); piece = response.rest()) text += piece;
    response.rest = nullptr;
    return text;
}

}  // namespace

// One after the other joined as text: a list of ten thousand boxes is not taken apart for it.
Door::Answered Door::list(Call& call, bool is_array, const char* member) {
    const Request& request = call.exchange.request();
    CO_TRY_LET(auto own, co_await call.here());
    if (!own || own->status != 200) co_return own;
    auto gather = [&own] { return whole_text(*own); };
    const std::string here = co_await call.exchange.decoders().run(gather);
    std::string rows(rows_between(here, is_array));
    std::string silent;
    struct Part {
        std::string host;
        std::optional<Response> answer;
    };
    std::vector<Part> parts;
    for (const auto& [host, its] : fleet_.directory().members()) {
        if (host != fleet_.self()) parts.push_back({host, std::nullopt});
    }
    size_t left = parts.size();
    Event all(services_.boxes.executor());
    const auto ask = [this, &request](std::string host) -> Task<std::optional<Response>> {
        PeerCall asked{"GET", request.target, {}, ""};
        const auto too_long = []() -> Task<> {
            asio::steady_timer limit(co_await asio::this_coro::executor, kListPatience);
            co_await limit.async_wait(kAwait);
        };
        auto answered = co_await unless(too_long(), peers_.ask(std::move(host), request, std::move(asked)));
        if (!answered || !answered->ok() || answered->value().status != 200) co_return std::nullopt;
        co_return std::move(*answered).value();
    };
    const auto ask_part = [&](Part& part) -> Task<> { part.answer = co_await ask(part.host); };
    for (Part& part : parts) {
        // This waits for all of them: what they refer to outlives them.
        spawn(services_.boxes.executor(), "asking host " + part.host + " for a list", ask_part(part),
              [&left, &all](const Result<void>&) {
                  if (--left == 0) all.set();
              });
    }
    if (parts.empty()) all.set();
    co_await all.wait();
    for (Part& part : parts) {
        if (!part.answer) {
            silent += (silent.empty() ? "" : ",") + part.host;
            continue;
        }
        CO_TRY(call.exchange.memory().grow(part.answer->body.size()));
        const std::string_view more = rows_between(part.answer->body, is_array);
        if (!more.empty() && !rows.empty()) rows += ',';
        rows += more;
    }
    Response response;
    response.body = is_array ? "[" + rows + "]" : fmt::format("{{\"{}\":[{}]}}", member, rows);
    if (!silent.empty()) response.headers["X-Hutch-Partial"] = silent;
    co_return std::optional(std::move(response));
}

Door::Answered Door::remove_many(Call& call) {
    const Request& request = call.exchange.request();
    CO_TRY_LET(const std::string body, co_await call.exchange.read_body(kMaxJsonBody));
    std::string copy = body;
    CO_TRY_LET(const Fields fields, co_await parse_fields(call.exchange, std::move(copy)));
    call.exchange.give_back(body);
    if (!fields.has("ids")) co_return co_await call.here();
    CO_TRY_LET(const std::vector<std::string> ids, fields.texts("ids"));
    std::map<std::string, Json> elsewhere;  // their ids, by host
    Json here = Json::array();
    for (const std::string& id : ids) {
        CO_TRY_LET(const auto box, co_await find(call, id));
        if (box && !fleet_.directory().hosts().contains(box->host)) co_return std::optional(away(*box, id));
        if (!box && !is_here(call.exchange, id)) {
            co_return Error{ErrorKind::kNotFound, 0, "no box has the id or name \"" + id + "\""};
        }
        Json& of = box ? elsewhere[box->host] : here;
        of.push_back(box ? box->id : id);
        call.exchange.concern(box ? box->id : id);
    }
    for (auto& [host, its] : elsewhere) {
        const std::string part = dump(Json{{"ids", its}});
        PeerCall asked{request.method, request.target, passed_headers(request), part};
        const auto done = co_await peers_.ask(host, request, std::move(asked));
        if (!done.ok()) co_return Error{ErrorKind::kLimit, EBUSY, done.error().message};
        if (done.value().status != 200) co_return std::optional(done.value());
    }
    if (here.empty()) co_return std::optional(Response{});
    call.exchange.give_back(dump(Json{{"ids", here}}));
    co_return co_await call.here();
}

// All hosts, or none: this one is the last.
Door::Answered Door::tell_all(Call& call) {
    const Request& request = call.exchange.request();
    CO_TRY_LET(const std::string body, co_await call.exchange.read_body(kMaxJsonBody));
    const std::map<std::string, FleetMember> members = fleet_.directory().members();
    for (const auto& [host, member] : members) {
        if (host == fleet_.self() || fleet_.directory().hosts().contains(host)) continue;
        co_return std::optional(unavailable("this is told to all hosts, of which one is " + host + ", " +
                                            peers_.state_of(host) + "; hutch host rm makes it none"));
    }
    for (const auto& [host, member] : members) {
        if (host == fleet_.self()) continue;
        PeerCall asked{request.method, request.target, passed_headers(request), body};
        const auto told = co_await peers_.ask(host, request, std::move(asked));
        if (!told.ok()) co_return std::optional(unavailable(told.error().message));
        constexpr int kNothingThere = 404;  // of a host that joined later, and has less
        if (told.value().status >= 300 && told.value().status != kNothingThere) co_return std::optional(told.value());
    }
    call.exchange.give_back(body);
    co_return co_await call.here();
}

}  // namespace hutch::daemon
