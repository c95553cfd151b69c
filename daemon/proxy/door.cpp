#include "daemon/proxy/door.h"

#include <fmt/format.h>

#include "daemon/api/codec.h"
#include "daemon/log.h"
#include "daemon/proxy/passage.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostTries = 3;  // hosts that a box is offered to

// What a box has used, and its snapshots, are there when it is not.
bool outlives_box(const Request& request) {
    return request.path.ends_with("/usage") || request.path.ends_with("/snapshots") ||
           request.path.find("/snapshots/") != std::string::npos;
}

// What a customer has set for all its boxes, and what it may take, each host has in its own records.
bool is_for_all(const Request& request) {
    if (request.method == "GET") return false;
    return request.path.starts_with("/v2/box/settings/") ||
           (request.path.starts_with("/v2/keys/") && request.path.ends_with("/limits"));
}

}  // namespace

Response unavailable(const std::string& sentence) {
    Response response = answer(Json{{"error", sentence}}, 503);
    response.headers["Retry-After"] = "5";
    return response;
}

bool Door::is_here(const Exchange& exchange, const std::string& id) const {
    return find_box(services_, exchange, id).ok();
}

Response Door::away(const FleetBox& box, const std::string& asked) const {
    return unavailable("box \"" + asked + "\" is on host " + box.host + ", " + peers_.state_of(box.host));
}

// Nothing for a box that is here, or nowhere: this host knows what to say of it.
Task<Result<std::optional<FleetBox>>> Door::find(Call& call, std::string id) {
    const Caller caller = call.exchange.request().caller;
    if (is_here(call.exchange, id)) co_return std::optional<FleetBox>();
    auto found = co_await fleet_.look_up(caller.customer, id, caller.is_operator);
    if (!found.ok()) co_return std::move(found).error().in("box \"" + id + "\" is not on this host");
    if (found.value() && found.value()->host == fleet_.self()) co_return std::optional<FleetBox>();
    co_return found;
}

Door::Answered Door::answer(Call& call) {
    const Request& request = call.exchange.request();
    const std::string what = request.method + " " + request.path;
    if (const auto id = call.params.find("id"); id != call.params.end()) co_return co_await about_box(call, id->second);
    if (what == "POST /v2/box") co_return co_await make(call);
    if (what == "POST /v2/box/from-snapshot") co_return co_await make_from_snapshot(call);
    if (what == "GET /v2/box") co_return co_await list(call, true, "");
    if (what == "GET /v2/box/snapshots") co_return co_await list(call, false, "snapshots");
    if (what == "DELETE /v2/box") co_return co_await remove_many(call);
    if (what == "DELETE /v2/box/snapshots") co_return co_await remove_snapshots(call);
    if (is_for_all(request)) co_return co_await tell_all(call);
    co_return co_await call.here();
}

Door::Answered Door::about_box(Call& call, const std::string& id) {
    CO_TRY_LET(auto box, co_await find(call, id));
    if (box) co_return co_await pass_on(call, *std::move(box));
    if (!is_here(call.exchange, id) && outlives_box(call.exchange.request())) co_return co_await about_deleted(call);
    co_return co_await call.here();
}

Door::Answered Door::pass_on(Call& call, FleetBox box) {
    const std::string asked = call.params.at("id");
    if (!fleet_.directory().hosts().contains(box.host)) co_return std::optional(away(box, asked));
    call.exchange.concern(box.id);
    const HttpExchange::Ends ends = call.exchange.ends();
    const bool web_socket = asks_for_web_socket(ends.parser.get()) && ends.parser.is_done();
    PeerServer server(peers_, box.host, call.exchange, web_socket);
    const Passage::Ends both{ends.wire, ends.buffer, ends.parser, server, ends.patience};
    Passage passage(both, web_socket);
    std::function<void()> untied = call.untied;
    const Passage::End end = co_await passage.go(std::move(untied));
    if (!end.refused) {
        call.exchange.answers();
        call.exchange.passed(end.stays, passage.unread(), end.gone);
        co_return std::optional<Response>();
    }
    const Refused& refused = *end.refused;
    if (refused.sentence.empty()) co_return std::optional(away(box, asked));
    const bool broke = refused.status == 502;
    const bool reads = call.exchange.request().method == "GET";
    if (!broke) co_return std::optional(hutch::daemon::answer(Json{{"error", refused.sentence}}, refused.status));
    co_return std::optional(unavailable("box \"" + asked + "\" is on host " + box.host + ": " + refused.sentence +
                                        (reads ? "" : " The call may have been done.")));
}

// --- new boxes ---

/// A call that makes boxes, as it goes from host to host.
struct Door::Making {
    std::string body{};
    std::string image{};
    std::string key{};       ///< its Idempotency-Key
    std::string given{};     ///< the host that has the call by that key
    bool inherited = false;  ///< since before this one came, so that it may have made a box
    std::set<std::string> tried{};
    std::map<std::string, std::string> reasons{};  ///< why not, by host
};

/// What one host has made of it.
struct Door::Offer {
    std::optional<Response> response{};  ///< that of the call
    std::string refusal{};               ///< else why it takes no box now
    bool unclear = false;                ///< or it was not heard of any more, and may have made one
};

// Refused for now, by a limit or by what the host has left: another may take it.
static bool passes_by(int status) {
    return status == 429 || status == 503 || status == 507;
}

static std::string error_in(const std::string& body) {
    const auto json = parse_json(body);
    return json.ok() ? text_at(json.value(), "error") : "";
}

Task<Door::Offer> Door::offer(Call& call, const Making& making, const std::string& host) {
    Offer offer;
    if (host == fleet_.self()) {
        call.exchange.give_back(making.body);
        auto made = co_await call.here();
        Response response =
            made.ok() ? std::move(made).value().value_or(Response{}) : hutch::daemon::answer(made.error());
        if (passes_by(response.status)) offer.refusal = error_in(response.body);
        offer.response = std::move(response);
        co_return offer;
    }
    const Request& request = call.exchange.request();
    PeerCall asked{request.method, request.target, passed_headers(request), making.body};
    auto made = co_await unless(call.exchange.client_gone(), peers_.ask(host, request, std::move(asked)));
    if (!made) {
        offer.unclear = true;
        co_return offer;
    }
    if (made->ok() && passes_by(made->value().status)) offer.refusal = error_in(made->value().body);
    if (made->ok()) offer.response = std::move(*made).value();
    if (!made->ok()) offer.refusal = made->error().message;
    offer.unclear = !made->ok() && made->error().kind != ErrorKind::kNotFound;
    co_return offer;
}

// The one that the call was given to before, or else a host of our choice; empty when there is none.
Task<Result<std::string>> Door::next_host(Call& call, Making& making) {
    Placement placement = fleet_.choose(making.image, making.tried);
    for (auto& [host, reason] : placement.refused) making.reasons[host] = std::move(reason);
    if (placement.host.empty() || making.key.empty()) co_return placement.host;
    const std::string customer = call.exchange.request().caller.customer;
    CO_TRY_LET(const GivenCall given, co_await fleet_.give_call(customer, making.key, placement.host, making.given));
    making.inherited = !given.fresh;
    making.given = given.host;
    co_return given.host;
}

Door::Answered Door::make(Call& call) {
    Making making;
    CO_TRY_LET(making.body, co_await call.exchange.read_body(kMaxJsonBody));
    std::string copy = making.body;
    CO_TRY_LET(const Fields fields, co_await parse_fields(call.exchange, std::move(copy)));
    CO_TRY_LET(making.image, fields.text_or("runtime", services_.config.default_image));
    CO_TRY_LET(making.key, idempotency_key(call.exchange.request()));
    std::optional<Response> last;
    for (size_t i = 0; i < kMostTries; ++i) {
        CO_TRY_LET(const std::string host, co_await next_host(call, making));
        if (host.empty()) break;
        if (making.tried.contains(host)) break;  // it has the call by its key, and has refused
        making.tried.insert(host);
        Offer came = co_await offer(call, making, host);
        if (came.unclear && came.refusal.empty()) co_return client_left();
        if (came.unclear) {
            co_return std::optional(unavailable(came.refusal + "; a box may have been made: look for it, or send the "
                                                               "call again with the Idempotency-Key that it had"));
        }
        if (came.refusal.empty()) co_return std::move(came.response);
        if (!came.response && making.inherited) {
            co_return std::optional(
                unavailable("Idempotency-Key: the call was given to host " + host + ", " + peers_.state_of(host)));
        }
        making.reasons[host] = came.refusal;
        if (came.response) last = std::move(came.response);
    }
    // A customer's limit is that of a host: who has reached it at all of those asked has reached it.
    if (last && last->status == 429) co_return last;
    std::string sentence = "no host of the fleet takes a box now";
    for (const auto& [host, reason] : making.reasons) sentence += fmt::format("; {}: {}", host, reason);
    if (making.reasons.empty()) sentence += "; none is known: " + fleet_.trouble();
    co_return std::optional(unavailable(sentence));
}

}  // namespace hutch::daemon
