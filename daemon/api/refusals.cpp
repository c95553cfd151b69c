// What a box was refused of the network, and why it does not reach a host.

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "daemon/api/resources.h"
#include "daemon/box/reach.h"
#include "daemon/refusals.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr int64_t kUsualPort = 443;

Json refused_json(const RefusedEntry& entry) {
    Json json{{"time", entry.last_ms},
              {"first_time", entry.first_ms},
              {"times", entry.times},
              {"protocol", entry.flow.protocol},
              {"rule", name_of(entry.flow.rule)},
              {"reason", sentence_of(entry.flow.rule)}};
    if (entry.flow.destination != netns::Ipv4{}) json["address"] = netns::to_string(entry.flow.destination);
    if (entry.flow.port != 0) json["port"] = entry.flow.port;
    if (!entry.flow.name.empty()) json["name"] = entry.flow.name;
    return json;
}

// Until the box is deleted.
Task<Result<void>> tell_refusals(Services& services, std::string box, Exchange& exchange) {
    using namespace asio::experimental::awaitable_operators;
    uint64_t seen = 0;
    for (;;) {
        const auto entries = services.refusals.of(box, seen);
        if (!entries.empty()) {
            std::string piece;
            for (const RefusedEntry& entry : entries) piece += final_event("refusal", refused_json(entry));
            seen = entries.back().change;
            CO_TRY(co_await exchange.write(piece));
            continue;  // a write takes its time: look again
        }
        if (!services.boxes.find_of_any(box).ok()) co_return Result<void>();
        co_await (services.refusals.grown() || services.boxes.noted());
    }
}

Answer refusal_log(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const int64_t follows, query_number(exchange.request(), "follow", 0, 1));
    const std::string id = box->record.id;
    if (follows == 1) {
        CO_TRY(co_await exchange.read_body(kMaxJsonBody));
        CO_TRY_LET(const CustomerLimits::Hold place,
                   services.limits.take(exchange.request().caller.customer, Resource::kFollowers));
        co_return co_await tell_events(services, exchange, tell_refusals(services, id, exchange));
    }
    Json refusals = Json::array();
    for (const RefusedEntry& entry : services.refusals.of(id)) refusals.push_back(refused_json(entry));
    co_return std::optional(
        answer(Json{{"refusals", std::move(refusals)}, {"dropped", services.refusals.dropped(id)}}));
}

// It takes some seconds: as many at a time as a customer may follow.
Answer reach_host(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const int64_t port, query_number(exchange.request(), "port", kUsualPort, UINT16_MAX + 1));
    const std::string host = query_text(exchange, "host");
    if (host.empty()) co_return invalid("host: say which, by ?host=NAME or ?host=ADDRESS");
    if (port < 1 || port > UINT16_MAX) co_return invalid("port: must be from 1 to 65535");
    CO_TRY(co_await exchange.read_body(kMaxJsonBody));
    CO_TRY_LET(const CustomerLimits::Hold place,
               services.limits.take(exchange.request().caller.customer, Resource::kFollowers));
    CO_TRY_LET(const Reach reach, co_await services.reacher.reach(box, host, static_cast<uint16_t>(port)));
    Json addresses = Json::array();
    for (const netns::Ipv4 address : reach.addresses) addresses.push_back(netns::to_string(address));
    Json json{{"host", host},
              {"port", port},
              {"verdict", name_of(reach.verdict)},
              {"addresses", std::move(addresses)},
              {"explanation", reach.explanation}};
    if (!reach.rule.empty()) json["rule"] = reach.rule;
    co_return std::optional(answer(json));
}

}  // namespace

void add_refusal_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/network/log", with(services, refusal_log));
    router.add("GET", "/v2/box/{id}/network/why", with(services, reach_host));
}

}  // namespace hutch::daemon
