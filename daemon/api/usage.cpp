// What boxes have used, by month, and what that costs.

#include <algorithm>

#include "daemon/api/resources.h"
#include "daemon/clock.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

// Of several months or boxes. Floating point: ten thousand boxes' byte-seconds of a year are beyond 64 bits.
struct Sum {
    Counters counters;
    int64_t memory_peak_bytes = 0;
    double storage_byte_hours = 0;

    void add(const UsageRecord& usage) {
        counters += usage.counters;
        memory_peak_bytes = std::max(memory_peak_bytes, usage.memory_peak_bytes);
        storage_byte_hours += static_cast<double>(usage.storage_byte_seconds) / 3600;
    }
};

Json sum_json(const Config& config, const Sum& sum) {
    const double compute = cost_usd(config, sum.counters.cpu_ns);
    const double storage = sum.storage_byte_hours / 1e9 / 730 * config.gb_month_usd;
    return {{"cpu_ns", sum.counters.cpu_ns},
            {"storage_byte_hours", sum.storage_byte_hours},
            {"memory_peak_bytes", sum.memory_peak_bytes},
            {"network_sent_bytes", sum.counters.sent_bytes},
            {"network_received_bytes", sum.counters.received_bytes},
            {"compute_cost_usd", compute},
            {"storage_cost_usd", storage},
            {"cost_usd", compute + storage}};
}

Json sum_json(const Config& config, const UsageRecord& usage) {
    Sum sum;
    sum.add(usage);
    return sum_json(config, sum);
}

Json rates_json(const Config& config) {
    return {{"cpu_hour_usd", config.cpu_hour_usd}, {"gb_month_usd", config.gb_month_usd}};
}

// What is not booked yet joins what is: sums are as of now.
void join(UsageRecord& booked, const UsageRecord& pending) {
    booked.counters += pending.counters;
    booked.memory_peak_bytes = std::max(booked.memory_peak_bytes, pending.memory_peak_bytes);
    booked.storage_byte_seconds += pending.storage_byte_seconds;
}

// To the last of the months, or as a new one.
void add(std::vector<UsageRecord>& months, const UsageRecord& pending) {
    if (!months.empty() && months.back().period == pending.period) {
        join(months.back(), pending);
    } else {
        months.push_back(pending);
    }
}

Answer of_box(Services& services, Exchange& exchange, const Params& params) {
    const auto box = find_box(services, exchange, params);
    // A bill is to be explained when the box is gone too: then by its id.
    const std::string id = box.ok() ? box.value()->record.id : params.at("id");
    CO_TRY_LET(auto months, services.boxes.records().usage_of(id));
    std::erase_if(months, [&exchange](const UsageRecord& month) { return !may_see(exchange, month.customer); });
    if (!box.ok() && months.empty()) co_return box.error();
    if (box.ok()) {
        add(months, services.meter.pending(*box.value()));
    }
    for (const UsageRecord& held : services.snapshots.pending()) {
        if (held.box == id) add(months, held);
    }
    Sum total;
    Json periods = Json::array();
    for (const UsageRecord& month : months) {
        total.add(month);
        Json json = sum_json(services.config, month);
        json["period"] = month.period;
        periods.push_back(std::move(json));
    }
    Json json = sum_json(services.config, total);
    json["box_id"] = months.front().box;
    json["name"] = months.back().name;
    json["deleted"] = !box.ok();
    if (box.ok()) {
        json["disk_bytes"] = box.value()->record.disk_bytes;
        json["layer_bytes"] = box.value()->layer_bytes;
    }
    json["periods"] = std::move(periods);
    json["rates"] = rates_json(services.config);
    co_return std::optional(answer(std::move(json)));
}

bool is_month(const std::string& text) {
    return text.size() == 7 && text[4] == '-' && text.find_first_not_of("0123456789-") == std::string::npos &&
           text.substr(5) >= "01" && text.substr(5) <= "12";
}

struct Row {
    UsageRecord usage;
    bool deleted = true;
};

constexpr size_t kRowBytes = 2048;  // of what one is while its answer is made

// By name, then id. What was folded has no box, and is one for each customer.
Task<Result<std::vector<Row>>> rows_of(Services& services, Exchange& exchange, std::string period) {
    using Key = std::pair<std::string, std::string>;  // box, customer
    std::map<Key, Row> by_box;
    const Caller& caller = exchange.request().caller;
    std::optional<std::string> customer = caller.customer;
    if (is_listed(exchange, "")) customer.reset();
    CO_TRY_LET(auto booked, services.boxes.records().usage_during(period, customer));
    CO_TRY(exchange.memory().grow(booked.size() * kRowBytes));
    for (UsageRecord& usage : booked) {
        const Key key(usage.box, usage.customer);
        by_box[key].usage = std::move(usage);
    }
    const auto add_pending = [&](const UsageRecord& pending) {
        if (pending.period != period || !is_listed(exchange, pending.customer)) return;
        const auto [row, is_new] = by_box.try_emplace(Key(pending.box, pending.customer), Row{pending});
        if (!is_new) join(row->second.usage, pending);
    };
    for (const UsageRecord& held : services.snapshots.pending()) add_pending(held);
    const auto there = services.boxes.list();
    for (size_t i = 0; i < there.size(); ++i) {
        add_pending(services.meter.pending(*there[i]));
        const auto row = by_box.find(Key(there[i]->record.id, there[i]->record.customer));
        if (row != by_box.end()) row->second.deleted = false;
        co_await give_way(services, i);
    }
    std::vector<Row> rows;
    for (auto& [box, row] : by_box) rows.push_back(std::move(row));
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.usage.name < b.usage.name; });
    co_return rows;
}

Answer of_all(Services& services, Exchange& exchange) {
    const auto& query = exchange.request().query;
    const auto asked = query.find("period");
    const std::string period = asked == query.end() ? period_of(unix_now_ms()) : asked->second;
    if (!is_month(period)) co_return invalid("period: must be a month such as 2026-11");
    CO_TRY_LET(const auto rows, co_await rows_of(services, exchange, period));
    Sum total;
    Json boxes = Json::array();
    for (size_t i = 0; i < rows.size(); ++i) {
        const Row& row = rows[i];
        co_await give_way(services, i);
        total.add(row.usage);
        Json json = sum_json(services.config, row.usage);
        json["box_id"] = row.usage.box;
        json["name"] = row.usage.name;
        json["deleted"] = row.deleted;
        boxes.push_back(std::move(json));
    }
    Json json = sum_json(services.config, total);
    json["customer_id"] = exchange.request().caller.customer;
    json["period"] = period;
    json["boxes"] = std::move(boxes);
    json["rates"] = rates_json(services.config);
    co_return std::optional(answer(std::move(json)));
}

}  // namespace

void add_usage_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/usage", with(services, of_box));
    router.add("GET", "/v2/usage",
               [&services](Exchange& exchange, const Params&) { return of_all(services, exchange); });
}

}  // namespace hutch::daemon
