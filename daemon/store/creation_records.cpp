#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

CreationRecord read_creation(const Query& query) {
    return {.customer = query.text(0),
            .key = query.text(1),
            .call = query.text(2),
            .boxes = Records::split(query.text(3)),
            .finished = query.number(4) != 0,
            .created_at = query.number(5)};
}

Result<std::vector<CreationRecord>> read_creations(Query& query) {
    std::vector<CreationRecord> creations;
    while (TRY(query.step())) creations.push_back(read_creation(query));
    return creations;
}

}  // namespace

Result<void> Records::put_creation(const CreationRecord& creation) {
    return database_.query("INSERT OR REPLACE INTO creations VALUES (?, ?, ?, ?, ?, ?)")
        .bind(creation.customer)
        .bind(creation.key)
        .bind(creation.call)
        .bind(join(creation.boxes))
        .bind(int64_t{creation.finished})
        .bind(creation.created_at)
        .run();
}

Result<bool> Records::drop_creation(const std::string& customer, const std::string& key) {
    Query query = database_.query("DELETE FROM creations WHERE customer = ? AND key = ? RETURNING 1");
    query.bind(customer).bind(key);
    return query.step();
}

Result<std::optional<CreationRecord>> Records::creation(const std::string& customer, const std::string& key) {
    Query query = database_.query("SELECT * FROM creations WHERE customer = ? AND key = ?");
    query.bind(customer).bind(key);
    if (!TRY(query.step())) return std::optional<CreationRecord>();
    return std::optional(read_creation(query));
}

Result<std::vector<CreationRecord>> Records::creations_before(int64_t time, int64_t most) {
    Query query = database_.query("SELECT * FROM creations WHERE created_at < ? ORDER BY created_at LIMIT ?");
    query.bind(time).bind(most);
    return read_creations(query);
}

Result<std::vector<CreationRecord>> Records::unfinished_creations() {
    Query query = database_.query("SELECT * FROM creations WHERE finished = 0");
    return read_creations(query);
}

Result<std::map<std::string, int64_t>> Records::creation_counts() {
    std::map<std::string, int64_t> counts;
    Query query = database_.query("SELECT customer, COUNT(*) FROM creations GROUP BY customer");
    while (TRY(query.step())) counts[query.text(0)] = query.number(1);
    return counts;
}

}  // namespace hutch::daemon
