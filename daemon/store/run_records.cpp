#include "daemon/store/records.h"

namespace hutch::daemon {
namespace {

constexpr const char* kOfBox = "SELECT * FROM runs WHERE box = ? ORDER BY number DESC";
constexpr const char* kRunning = "SELECT * FROM runs WHERE status = 0 ORDER BY number";
constexpr const char* kOne = "SELECT * FROM runs WHERE box = ? AND id = ?";

// The columns in the order of the schema.
RunRecord read_run(const Query& query) {
    RunRecord run;
    run.id = query.text(0);
    run.box = query.text(1);
    run.number = query.number(2);
    run.status = static_cast<RunStatus>(query.number(3));
    run.prompt = query.text(4);
    run.separate_errors = query.number(5) != 0;
    run.terminal = query.number(6) != 0;
    run.timeout_ms = query.number_within(7, 0, kLatestMs);
    run.exit_code = query.number_if_any(8);
    run.error = query.text(9);
    run.cpu_ns = query.number(10);
    run.started_ms = query.number_within(11, 0, kLatestMs);
    run.duration_ms = query.number_within(12, 0, kLatestMs);
    run.kept_bytes = query.number(13);
    run.kill_reason = static_cast<KillReason>(query.number(14));
    run.signal = query.number_within(15, 0, 64);
    run.oom_kills = query.number(16);
    run.schedule = query.text(17);
    run.waited_ms = query.number_within(18, 0, kLatestMs);
    return run;
}

Result<std::vector<RunRecord>> read_runs(Query& query) {
    std::vector<RunRecord> runs;
    while (TRY(query.step())) runs.push_back(read_run(query));
    return runs;
}

}  // namespace

Result<void> Records::add_run(const RunRecord& run) {
    return database_.query("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, '', 0, ?, 0, 0, ?, 0, ?, ?, 0)")
        .bind(run.id)
        .bind(run.box)
        .bind(run.number)
        .bind(static_cast<int64_t>(run.status))
        .bind(run.prompt)
        .bind(int64_t{run.separate_errors})
        .bind(int64_t{run.terminal})
        .bind(run.timeout_ms)
        .bind(run.started_ms)
        .bind(static_cast<int64_t>(run.kill_reason))
        .bind(run.oom_kills)
        .bind(run.schedule)
        .run();
}

Result<void> Records::begin_run(const RunRecord& run) {
    return database_
        .query("UPDATE runs SET status = ?, timeout_ms = ?, started_ms = ?, waited_ms = ?, oom_kills = ? WHERE id = ?")
        .bind(static_cast<int64_t>(RunStatus::kRunning))
        .bind(run.timeout_ms)
        .bind(run.started_ms)
        .bind(run.waited_ms)
        .bind(run.oom_kills)
        .bind(run.id)
        .run();
}

Result<void> Records::mark_run(const RunRecord& run) {
    return database_.query("UPDATE runs SET kill_reason = ? WHERE id = ?")
        .bind(static_cast<int64_t>(run.kill_reason))
        .bind(run.id)
        .run();
}

Result<void> Records::end_run(const RunRecord& run) {
    return database_
        .query(
            "UPDATE runs SET status = ?, exit_code = ?, error = ?, cpu_ns = ?, duration_ms = ?, kept_bytes = ?, "
            "kill_reason = ?, signal = ? WHERE id = ?")
        .bind(static_cast<int64_t>(run.status))
        .bind(run.exit_code)
        .bind(run.error)
        .bind(run.cpu_ns)
        .bind(run.duration_ms)
        .bind(run.kept_bytes)
        .bind(static_cast<int64_t>(run.kill_reason))
        .bind(run.signal)
        .bind(run.id)
        .run();
}

Result<void> Records::drop_run(const std::string& id) {
    return database_.query("DELETE FROM runs WHERE id = ?").bind(id).run();
}

Result<bool> Records::drop_runs(const std::string& box, int64_t most) {
    Query query =
        database_.query("DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE box = ? LIMIT ?) RETURNING 1");
    query.bind(box).bind(most);
    bool some = false;
    while (TRY(query.step())) some = true;
    return some;
}

Result<std::vector<RunRecord>> Records::runs(const std::string& box) {
    Query query = database_.query(kOfBox);
    query.bind(box);
    return read_runs(query);
}

Result<std::vector<RunRecord>> Records::running() {
    Query query = database_.query(kRunning);
    return read_runs(query);
}

Result<std::optional<RunRecord>> Records::run(const std::string& box, const std::string& id) {
    Query query = database_.query(kOne);
    query.bind(box).bind(id);
    if (!TRY(query.step())) return std::optional<RunRecord>();
    return std::optional(read_run(query));
}

Result<int64_t> Records::last_run_number() {
    Query query = database_.query("SELECT MAX(number) FROM runs");
    TRY(query.step());
    return query.number(0);
}

Result<std::vector<std::string>> Records::old_runs(const std::string& box, int64_t most, int64_t most_bytes) {
    std::vector<std::string> ids;
    Query query = database_.query(
        "SELECT id FROM (SELECT id, status, ROW_NUMBER() OVER newest AS place, SUM(kept_bytes) OVER newest AS bytes "
        "FROM runs WHERE box = ? WINDOW newest AS (ORDER BY number DESC)) "
        "WHERE status NOT IN (0, 5) AND (place > ? OR bytes > ?)");
    query.bind(box).bind(most).bind(most_bytes);
    while (TRY(query.step())) ids.push_back(query.text(0));
    return ids;
}

}  // namespace hutch::daemon
