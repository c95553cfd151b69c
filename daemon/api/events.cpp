// What happens, as it happens: server-sent events (the HTML standard, section 9.2).
//
//   id: START-N                 where to go on from; START tells daemons apart, N goes up by one
//   event: box.paused
//   data: {"id":N,"start":START,"time":...,"type":"box.paused","box_id":...,"name":...}

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <charconv>
#include <limits>

#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kEventPiece = 16 * 1024;  // bytes of one write

struct WantedEvents {
    std::optional<EventPlace> after;
    std::string box;  ///< id or name; empty: of all
    bool follow = false;
};

template <typename Number>
bool parse(const std::string& text, Number& number) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failed == std::errc() && end == text.data() + text.size() && number >= 0;
}

Result<EventPlace> decode_place(const std::string& field, const std::string& text, const EventLog& log) {
    EventPlace place;
    const size_t dash = text.find('-');
    if (dash == std::string::npos || !parse(text.substr(0, dash), place.start) ||
        !parse(text.substr(dash + 1), place.id)) {
        return invalid(field + ": must be START-N, as the id line of an event says it");
    }
    if (place.start == log.start() && place.id > log.newest()) {
        return invalid(field + ": no event has that id yet; the newest is " + std::to_string(log.start()) + "-" +
                       std::to_string(log.newest()));
    }
    return place;
}

Result<WantedEvents> decode_wanted(const Request& request, const EventLog& log) {
    WantedEvents wanted;
    wanted.follow = TRY(query_number(request, "follow", 0, 1)) == 1;
    if (const auto box = request.query.find("box"); box != request.query.end()) wanted.box = box->second;
    // A browser that connects again asks for the same URL: the header knows better.
    const auto after = request.query.find("after");
    if (const std::string last = request.header("last-event-id"); !last.empty()) {
        wanted.after = TRY(decode_place("Last-Event-ID", last, log));
    } else if (after != request.query.end()) {
        wanted.after = TRY(decode_place("after", after->second, log));
    }
    return wanted;
}

bool fits(const EventRecord& event, const std::string& box, const Exchange& exchange) {
    if (!event.customer.empty() && !is_listed(exchange, event.customer)) return false;
    return box.empty() || event.type == EventType::kGap || event.box == box ||
           (!event.box.empty() && event.name == box);
}

Json event_json(const EventRecord& event, int64_t start) {
    Json json{{"id", event.id}, {"start", start}, {"time", event.time_ms}, {"type", name_of(event.type)}};
    if (!event.box.empty()) json["box_id"] = event.box;
    if (event.type != EventType::kGap) json["name"] = event.name;
    if (!event.reason.empty()) json["reason"] = event.reason;
    if (event.type == EventType::kGap) json["lost"] = event.lost ? Json(*event.lost) : Json();
    if (event.run) {
        json["run_id"] = event.run->id;
        json["prompt"] = event.run->prompt;
    }
    if (event.type == EventType::kRunEnded) {
        json["status"] = name_of(event.run->status);
        json["exit_code"] = event.run->exit_code ? Json(*event.run->exit_code) : Json();
        json["cpu_ns"] = event.run->cpu_ns;
        json["duration_ms"] = event.run->duration_ms;
    }
    return json;
}

std::string event_text(const EventRecord& event, int64_t start) {
    return "id: " + std::to_string(start) + "-" + std::to_string(event.id) + "\n" +
           final_event(name_of(event.type), event_json(event, start));
}

// Reads from the log as fast as the client takes it, and holds no more than a piece.
Task<Result<void>> tell(EventLog& log, WantedEvents wanted, Exchange& exchange) {
    EventReader reader(log, wanted.after);
    const uint64_t last = wanted.follow ? std::numeric_limits<uint64_t>::max() : log.newest();
    for (;;) {
        std::string piece;
        bool more = true;
        while (more && piece.size() < kEventPiece) {
            const auto event = reader.next();
            if (event && fits(*event, wanted.box, exchange)) piece += event_text(*event, log.start());
            more = event && event->id < last;
        }
        CO_TRY(co_await exchange.write(piece));
        if (more) continue;
        if (!wanted.follow) co_return Result<void>();
        if (!piece.empty()) continue;  // a write takes its time: look again
        if (log.closed()) co_return Result<void>();
        co_await log.grown();
    }
}

Answer events(Services& services, Exchange& exchange) {
    CO_TRY_LET(const WantedEvents wanted, decode_wanted(exchange.request(), services.events));
    CO_TRY(co_await exchange.read_body(kMaxJsonBody));
    CustomerLimits::Hold place;
    if (wanted.follow) {
        CO_TRY_LET(place, services.limits.take(exchange.request().caller.customer, Resource::kFollowers));
    }
    co_return co_await tell_events(services, exchange, tell(services.events, wanted, exchange));
}

}  // namespace

Answer tell_events(Services& services, Exchange& exchange, Task<Result<void>> telling) {
    using namespace asio::experimental::awaitable_operators;
    std::map<std::string, std::string> headers;
    headers["Cache-Control"] = "no-store";
    CO_TRY(co_await exchange.begin(200, "text/event-stream", headers));
    const auto over = [&]() -> Task<> { co_await (exchange.client_gone() || services.events.closing()); };
    const auto told = co_await unless(over(), std::move(telling));
    if (exchange.left()) co_return client_left();
    if (told) CO_TRY(*told);
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

void add_event_routes(Router& router, Services& services) {
    router.add("GET", "/v2/events",
               [&services](Exchange& exchange, const Params&) { return events(services, exchange); });
}

}  // namespace hutch::daemon
