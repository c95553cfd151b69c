// What became of a box, in its own words: what is kept, and what comes.

#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

Json line_json(const LogRecord& log) {
    return {{"timestamp", log.timestamp}, {"level", log.level}, {"source", log.source}, {"message", log.message}};
}

// Until the box is deleted.
Task<Result<void>> tell(Services& services, std::string box, int64_t offset, Exchange& exchange) {
    int64_t seen = 0;
    for (;;) {
        CO_TRY_LET(const auto lines, services.boxes.records().logs(box, offset, Records::kMaxLogs, seen));
        offset = 0;
        std::string piece;
        for (const LogRecord& line : lines) piece += final_event("log", line_json(line));
        if (!lines.empty()) {
            seen = lines.back().id;
            CO_TRY(co_await exchange.write(piece));
            continue;  // a write takes its time: look again
        }
        if (!services.boxes.find_of_any(box).ok()) co_return Result<void>();
        co_await services.boxes.noted();
    }
}

Answer follow(Services& services, Exchange& exchange, const std::string& box, int64_t offset) {
    CO_TRY(co_await exchange.read_body(kMaxJsonBody));
    CO_TRY_LET(const CustomerLimits::Hold place,
               services.limits.take(exchange.request().caller.customer, Resource::kFollowers));
    co_return co_await tell_events(services, exchange, tell(services, box, offset, exchange));
}

Answer logs(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const int64_t offset, query_number(exchange.request(), "offset", 0, Records::kMaxLogs));
    CO_TRY_LET(const int64_t limit, query_number(exchange.request(), "limit", 100, Records::kMaxLogs));
    CO_TRY_LET(const int64_t follows, query_number(exchange.request(), "follow", 0, 1));
    if (follows == 1) co_return co_await follow(services, exchange, box->record.id, offset);
    Json lines = Json::array();
    CO_TRY_LET(const auto records, services.boxes.records().logs(box->record.id, offset, limit));
    for (const LogRecord& log : records) lines.push_back(line_json(log));
    co_return std::optional(answer(Json{{"logs", std::move(lines)}}));
}

}  // namespace

void add_log_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/logs", with(services, logs));
}

}  // namespace hutch::daemon
