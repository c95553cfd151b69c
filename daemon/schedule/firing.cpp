// A firing, from the moment that it is due to its end.
//
//   the row says          a start after a crash                                       then
//   due, in the past      nobody has begun it                                         it fires, once
//   run, and no such run  it was about to begin                                       it begins, as another run
//   run, and it is there  it is taken over with the runs, or ended meanwhile          its end is concluded
//   no run                it was concluded; whether the webhook was told, its row says

#include "base/ids.h"
#include "base/undo.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/schedule/schedules.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMissed = 60;  // seconds after which a firing was not just late

std::optional<Webhook> webhook_of(const ScheduleRecord& schedule) {
    if (schedule.webhook_url.empty()) return std::nullopt;
    return Webhook{schedule.webhook_url, schedule.webhook_headers};
}

}  // namespace

void Schedules::begin(const One& one, int64_t due) {
    const std::string what = "schedule " + one->id;
    if (std::exchange(one->at_work, true)) {
        spawn(boxes_.executor(), "a skip of " + what, skip(one));
    } else {
        spawn(boxes_.executor(), "a firing of " + what, fire(one, due));
    }
}

Task<> Schedules::fire(One one, int64_t due) {
    const Undo over([one] {
        one->at_work = false;
        one->run.clear();
    });
    const auto begun = co_await begin_run(one, due);
    if (!begun) co_return;
    const End end = co_await end_of(*begun);
    conclude(*one, end);
}

Task<std::optional<Schedules::Begun>> Schedules::begin_run(One one, int64_t due) {
    const bool missed = unix_now() - due >= kMissed;  // before it waits for its turn
    const auto turn = co_await beginning_.take(one->customer);
    const auto pass = boxes_.enter();
    const auto box = boxes_.find_of_any(one->box);
    if (one->gone || !pass.ok() || !box.ok()) co_return std::nullopt;  // its row stays as it is, or goes
    auto schedule = boxes_.records().schedule(one->box, one->id);
    if (schedule.ok() && !schedule.value()) co_return std::nullopt;
    Result<void> marked = schedule.ok() ? Result<void>() : schedule.error();
    if (marked.ok()) {
        schedule.value()->run = one->run = random_id();
        schedule.value()->due = one->due;
        marked = boxes_.records().mark_schedule(*schedule.value());
    }
    if (!marked.ok()) {
        log_error("schedule {}: it is left out: {}", one->id, marked.error().message);
        co_return std::nullopt;
    }
    figures_.lag.add(std::chrono::milliseconds(std::max<int64_t>(0, unix_now_ms() - due * 1000)));
    if (missed) {
        boxes_.note(*box.value(), "warn",
                    "schedule " + one->id + ": was due at " + rfc3339(due) +
                        ", when hutchd did not run or the clock was set past it; it is run now, once");
    }
    auto begun = co_await caught(start(box.value(), *schedule.value()));
    if (begun.ok()) co_return std::optional(std::move(begun).value());
    if (!boxes_.enter().ok()) co_return std::nullopt;  // that is why: the next start begins it
    conclude(*one, {.ok = false, .at = unix_now(), .not_begun = begun.error().message});
    co_return std::nullopt;
}

Task<Result<Schedules::Begun>> Schedules::start(std::shared_ptr<Box> box, const ScheduleRecord& schedule) {
    const Box::Use use(box);
    CO_TRY(co_await boxes_.wake(box));
    const auto mark = [&schedule](Command& command) {
        command.run_id = schedule.run;
        command.schedule = schedule.id;
        command.detached = true;  // nobody is to lose what it has said
    };
    Begun begun;
    if (schedule.type == ScheduleType::kExec) {
        CO_TRY_LET(Command command, command_of_(*box, schedule));
        mark(command);
        CO_TRY_LET(begun.run, co_await runs_.start(box, std::move(command), UniqueFd()));
        co_return begun;
    }
    CO_TRY_LET(Asked asked, prompt_of_(*box, schedule));
    mark(asked.surroundings);
    auto webhook = webhook_of(schedule);
    CO_TRY_LET(begun.prompt, co_await agents_.start(box, std::move(asked), std::move(webhook)));
    co_return begun;
}

Task<Schedules::End> Schedules::end_of(Begun begun) {
    if (begun.prompt) {
        co_await begun.prompt->ended.wait();
        begun.run = begun.prompt->run;
    } else {
        (void)co_await begun.run->outcome();
    }
    End end{.ok = false, .at = unix_now()};
    if (begun.run) {
        const RunRecord run = begun.run->record();
        end.ok = run.status == RunStatus::kCompleted;
        end.at = run.started_ms / 1000;
    }
    if (begun.prompt) end.ok = begun.prompt->record.ended && begun.prompt->record.error.empty();
    co_return end;
}

// All of it in one transaction, or a start after a crash would count it twice.
void Schedules::conclude(const Entry& one, const End& end) {
    const auto found = boxes_.find_of_any(one.box);
    if (!found.ok() || one.gone) return;
    const std::shared_ptr<Box>& box = found.value();
    std::optional<WebhookRecord> webhook;
    const auto write = [&]() -> Result<void> {
        Records& records = boxes_.records();
        auto schedule = TRY(records.schedule(one.box, one.id));
        if (!schedule) return {};
        if (!end.not_begun.empty()) {
            TRY(note_unbegun(*box, *schedule, one.run, RunStatus::kFailed, end.not_begun));
        }
        schedule->run.clear();
        schedule->due = one.due;
        schedule->last_run_at = end.at;
        schedule->last_run_id = one.run;
        schedule->last_run_status = end.ok ? RunStatus::kCompleted : RunStatus::kFailed;
        ++schedule->total_runs;
        if (!end.ok) ++schedule->total_failures;
        TRY(records.mark_schedule(*schedule));
        if (schedule->webhook_url.empty() || schedule->type == ScheduleType::kPrompt) return {};  // its prompt's own
        webhook = {one.run, one.box, one.id, schedule->webhook_url, schedule->webhook_headers};
        if (may_tell(*box, *webhook)) return records.add_webhook(*webhook);
        webhook.reset();
        return {};
    };
    const auto written = boxes_.records().together(write);
    if (!written.ok()) log_error("schedule {}: an end cannot be recorded: {}", one.id, written.error().message);
    ++(end.ok ? figures_.completed : figures_.failed);
    if (!end.not_begun.empty()) {
        boxes_.note(*box, "error", "schedule " + one.id + ": could not be run: " + end.not_begun);
    }
    if (webhook && written.ok()) tell(*webhook, box);
}

Task<> Schedules::skip(One one) {
    const auto turn = co_await beginning_.take(one->customer);
    const auto pass = boxes_.enter();
    const auto box = boxes_.find_of_any(one->box);
    if (one->gone || !pass.ok() || !box.ok()) co_return;
    const std::string why = one->run.empty() ? "the firing before it had not begun"
                                             : "the firing before it, run " + one->run + ", was still under way";
    const auto write = [&]() -> Result<void> {
        auto schedule = TRY(boxes_.records().schedule(one->box, one->id));
        if (!schedule) return {};
        schedule->due = one->due;
        schedule->last_run_at = unix_now();
        schedule->last_run_id = random_id();
        schedule->last_run_status = RunStatus::kSkipped;
        TRY(note_unbegun(*box.value(), *schedule, schedule->last_run_id, RunStatus::kSkipped, why));
        return boxes_.records().mark_schedule(*schedule);
    };
    const auto written = boxes_.records().together(write);
    if (!written.ok()) log_error("schedule {}: a skip cannot be recorded: {}", one->id, written.error().message);
    ++figures_.skipped;
}

Result<void> Schedules::note_unbegun(const Box& box, const ScheduleRecord& schedule, const std::string& run,
                                     RunStatus status, const std::string& why) {
    Command command;
    command.argv = schedule.command;
    command.prompt = schedule.prompt;
    command.run_id = run;
    command.schedule = schedule.id;
    TRY(runs_.add_unbegun(box, command, status, why));
    if (schedule.type == ScheduleType::kExec) return {};
    if (status != RunStatus::kFailed) return agents_.note_unbegun(box, run, "", std::nullopt);
    return agents_.note_unbegun(box, run, why, webhook_of(schedule));
}

Task<> Schedules::resume(One one, std::shared_ptr<Box> box) {
    const Undo over([one] {
        one->at_work = false;
        one->run.clear();
    });
    const auto end = co_await end_of_earlier(one, box);
    if (end) co_return conclude(*one, *end);
    boxes_.note(*box, "warn", "schedule " + one->id + ": hutchd ended as it was about to be run; it is run now");
    co_await fire(one, unix_now());
}

// Nothing when it has not begun.
Task<std::optional<Schedules::End>> Schedules::end_of_earlier(One one, std::shared_ptr<Box> box) {
    co_await runs_.settled(box);
    const auto prompt = agents_.find(one->run);
    if (prompt) co_await prompt->ended.wait();
    const auto active = runs_.find(*box, one->run);
    if (active) (void)co_await active->outcome();
    const auto run = runs_.record(*box, one->run);
    if (!run.ok()) co_return std::nullopt;
    End end{.ok = run.value().status == RunStatus::kCompleted, .at = run.value().started_ms / 1000};
    const auto asked = agents_.record(one->run);
    if (asked.ok() && asked.value()) end.ok = asked.value()->ended && asked.value()->error.empty();
    co_return end;
}

}  // namespace hutch::daemon
