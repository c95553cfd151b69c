#include <algorithm>

#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

// In the place of a box's id, which no such text is.
std::string folded_key(const std::string& customer) {
    return "/" + customer;
}

// The columns in the order of the schema.
Result<std::vector<UsageRecord>> read_usage(Query& query) {
    std::vector<UsageRecord> usage;
    while (TRY(query.step())) {
        const std::string box = query.text(0);
        usage.push_back({.box = box.starts_with('/') ? "" : box,
                         .customer = query.text(8),
                         .name = query.text(2),
                         .period = query.text(1),
                         .counters = {query.number(3), query.number(4), query.number(5)},
                         .memory_peak_bytes = query.number(6),
                         .storage_byte_seconds = query.number(7)});
    }
    return usage;
}

}  // namespace

Counters& Counters::operator+=(const Counters& other) {
    cpu_ns += other.cpu_ns;
    sent_bytes += other.sent_bytes;
    received_bytes += other.received_bytes;
    return *this;
}

Counters Counters::since(const Counters& earlier) const {
    return {std::max<int64_t>(cpu_ns - earlier.cpu_ns, 0), std::max<int64_t>(sent_bytes - earlier.sent_bytes, 0),
            std::max<int64_t>(received_bytes - earlier.received_bytes, 0)};
}

Counters Counters::at_least(const Counters& other) const {
    return {std::max(cpu_ns, other.cpu_ns), std::max(sent_bytes, other.sent_bytes),
            std::max(received_bytes, other.received_bytes)};
}

Result<void> Records::add_usage(const UsageRecord& usage) {
    return database_
        .query(
            "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (box, period) DO UPDATE SET "
            "name = CASE ?3 WHEN '' THEN name ELSE ?3 END, cpu_ns = cpu_ns + ?4, sent_bytes = sent_bytes + ?5, "
            "received_bytes = received_bytes + ?6, "
            "memory_peak_bytes = MAX(memory_peak_bytes, ?7), storage_byte_seconds = storage_byte_seconds + ?8")
        .bind(usage.box)
        .bind(usage.period)
        .bind(usage.name)
        .bind(usage.counters.cpu_ns)
        .bind(usage.counters.sent_bytes)
        .bind(usage.counters.received_bytes)
        .bind(usage.memory_peak_bytes)
        .bind(usage.storage_byte_seconds)
        .bind(usage.customer)
        .run();
}

Result<std::vector<UsageRecord>> Records::usage_of(const std::string& box) {
    Query query = database_.query("SELECT * FROM usage WHERE box = ? ORDER BY period");
    query.bind(box);
    return read_usage(query);
}

Result<std::vector<UsageRecord>> Records::usage_during(const std::string& period,
                                                       const std::optional<std::string>& customer) {
    Query query = database_.query(customer ? "SELECT * FROM usage WHERE period = ? AND customer = ? ORDER BY name, box"
                                           : "SELECT * FROM usage WHERE period = ? ORDER BY name, box");
    query.bind(period);
    if (customer) query.bind(*customer);
    return read_usage(query);
}

Result<void> Records::fold_usage(const std::string& box) {
    for (UsageRecord& usage : TRY(usage_of(box))) {
        Query count = database_.query("SELECT COUNT(*) FROM usage WHERE customer = ? AND period = ?");
        count.bind(usage.customer).bind(usage.period);
        if (!TRY(count.step()) || count.number(0) <= kMostUsageRows) continue;
        TRY(database_.query("DELETE FROM usage WHERE box = ? AND period = ?").bind(box).bind(usage.period).run());
        usage.box = folded_key(usage.customer);
        usage.name.clear();
        TRY(add_usage(usage));
    }
    return {};
}

}  // namespace hutch::daemon
