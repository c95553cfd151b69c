#include "daemon/store/records.h"

namespace hutch::daemon {

// The columns in the order of the schema: whose it is, what its customer says of it, when, and how far it is.
Result<void> Records::bind_said(Query& query, const ScheduleRecord& schedule) const {
    const std::string url = TRY(seal(schedule.webhook_url, "schedules.webhook_url", schedule.id));
    const std::string headers = TRY(seal(join(schedule.webhook_headers), "schedules.webhook_headers", schedule.id));
    query.bind(schedule.cron)
        .bind(join_texts(schedule.command))
        .bind(schedule.prompt)
        .bind(schedule.folder)
        .bind(schedule.model)
        .bind(schedule.agent_options)
        .bind(schedule.timeout_ms)
        .bind(url)
        .bind(headers)
        .bind(int64_t{schedule.paused});
    return {};
}

static Query& bind_progress(Query& query, const ScheduleRecord& schedule) {
    return query.bind(schedule.due)
        .bind(schedule.run)
        .bind(schedule.last_run_at)
        .bind(schedule.last_run_id)
        .bind(static_cast<int64_t>(schedule.last_run_status))
        .bind(schedule.total_runs)
        .bind(schedule.total_failures);
}

Result<void> Records::add_schedule(const ScheduleRecord& schedule) {
    Query query = database_.query(
        "INSERT INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query.bind(schedule.id).bind(schedule.box).bind(static_cast<int64_t>(schedule.type));
    TRY(bind_said(query, schedule));
    query.bind(schedule.created_at).bind(schedule.updated_at);
    return bind_progress(query, schedule).run();
}

Result<void> Records::set_schedule(const ScheduleRecord& schedule) {
    Query query = database_.query(
        "UPDATE schedules SET cron = ?, command = ?, prompt = ?, folder = ?, model = ?, agent_options = ?, "
        "timeout_ms = ?, webhook_url = ?, webhook_headers = ?, paused = ?, updated_at = ?, due = ? WHERE id = ?");
    TRY(bind_said(query, schedule));
    return query.bind(schedule.updated_at).bind(schedule.due).bind(schedule.id).run();
}

Result<void> Records::mark_schedule(const ScheduleRecord& schedule) {
    Query query = database_.query(
        "UPDATE schedules SET due = ?, run = ?, last_run_at = ?, last_run_id = ?, last_run_status = ?, "
        "total_runs = ?, total_failures = ? WHERE id = ?");
    return bind_progress(query, schedule).bind(schedule.id).run();
}

Result<void> Records::drop_schedule(const std::string& id) {
    return database_.query("DELETE FROM schedules WHERE id = ?").bind(id).run();
}

Result<std::vector<ScheduleRecord>> Records::schedules_in(Query& query) const {
    std::vector<ScheduleRecord> schedules;
    while (TRY(query.step())) {
        ScheduleRecord schedule;
        schedule.id = query.text(0);
        schedule.box = query.text(1);
        schedule.type = static_cast<ScheduleType>(query.number_within(2, 0, 1));
        schedule.cron = query.text(3);
        schedule.command = split_texts(query.text(4));
        schedule.prompt = query.text(5);
        schedule.folder = query.text(6);
        schedule.model = query.text(7);
        schedule.agent_options = query.text(8);
        schedule.timeout_ms = query.number_within(9, 0, kLatestMs);
        schedule.webhook_url = TRY(unseal(query.text(10), "schedules.webhook_url", schedule.id));
        schedule.webhook_headers = split_pairs(TRY(unseal(query.text(11), "schedules.webhook_headers", schedule.id)));
        schedule.paused = query.number(12) != 0;
        schedule.created_at = query.number_within(13, 0, kLatestMs / 1000);
        schedule.updated_at = query.number_within(14, 0, kLatestMs / 1000);
        schedule.due = query.number_within(15, 0, kLatestMs / 1000);
        schedule.run = query.text(16);
        schedule.last_run_at = query.number_within(17, 0, kLatestMs / 1000);
        schedule.last_run_id = query.text(18);
        schedule.last_run_status = static_cast<RunStatus>(query.number(19));
        schedule.total_runs = query.number(20);
        schedule.total_failures = query.number(21);
        schedules.push_back(std::move(schedule));
    }
    return schedules;
}

Result<std::vector<ScheduleRecord>> Records::schedules(const std::string& box) {
    Query query = database_.query("SELECT * FROM schedules WHERE box = ? ORDER BY rowid");
    query.bind(box);
    return schedules_in(query);
}

Result<std::vector<ScheduleRecord>> Records::schedules() {
    Query query = database_.query("SELECT * FROM schedules");
    return schedules_in(query);
}

Result<std::optional<ScheduleRecord>> Records::schedule(const std::string& box, const std::string& id) {
    Query query = database_.query("SELECT * FROM schedules WHERE box = ? AND id = ?");
    query.bind(box).bind(id);
    std::vector<ScheduleRecord> found = TRY(schedules_in(query));
    if (found.empty()) return std::optional<ScheduleRecord>();
    return std::optional(std::move(found.front()));
}

Result<void> Records::add_webhook(const WebhookRecord& webhook) {
    const std::string url = TRY(seal(webhook.url, "webhooks.url", webhook.run));
    const std::string headers = TRY(seal(join(webhook.headers), "webhooks.headers", webhook.run));
    return database_.query("INSERT OR REPLACE INTO webhooks VALUES (?, ?, ?, ?, ?)")
        .bind(webhook.run)
        .bind(webhook.box)
        .bind(webhook.schedule)
        .bind(url)
        .bind(headers)
        .run();
}

Result<void> Records::drop_webhook(const std::string& run) {
    return database_.query("DELETE FROM webhooks WHERE run = ?").bind(run).run();
}

Result<std::vector<WebhookRecord>> Records::webhooks() {
    std::vector<WebhookRecord> webhooks;
    Query query = database_.query("SELECT * FROM webhooks");
    while (TRY(query.step())) {
        const std::string run = query.text(0);
        webhooks.push_back({run, query.text(1), query.text(2), TRY(unseal(query.text(3), "webhooks.url", run)),
                            split_pairs(TRY(unseal(query.text(4), "webhooks.headers", run)))});
    }
    return webhooks;
}

}  // namespace hutch::daemon
