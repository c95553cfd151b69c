// Which schedules there are, and when the next of them is due. What is then done is firing.cpp's.

#include "daemon/schedule/schedules.h"

#include "base/ids.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostAtOnce = 100;      // firings that one turn of the event loop begins
constexpr int64_t kClockSetBack = 1000;  // milliseconds: less is the two clocks' reading one after the other

int64_t clock_ahead_ms() {
    using namespace std::chrono;
    return unix_now_ms() - duration_cast<milliseconds>(Moment::clock::now().time_since_epoch()).count();
}

Error no_schedule(const std::string& id) {
    return {ErrorKind::kNotFound, 0, "schedule: the box has none with the id \"" + id + "\""};
}

}  // namespace

Schedules::Schedules(Manager& boxes, Runs& runs, Agents& agents, Webhooks& webhooks)
    : boxes_(boxes),
      runs_(runs),
      agents_(agents),
      webhooks_(webhooks),
      clock_ms_(clock_ahead_ms()),
      alarm_(boxes.executor(), [this](Moment now) { return look_at_clock(now); }) {
    boxes_.on_deleted([this](const Box& box) { forget(box); });
}

Result<void> Schedules::adopt() {
    for (const ScheduleRecord& schedule : TRY(boxes_.records().schedules())) {
        const auto box = boxes_.find_of_any(schedule.box);
        if (box.ok()) take_over(schedule, box.value());  // else it is being deleted
    }
    mend_due(unix_now());
    for (const WebhookRecord& webhook : TRY(boxes_.records().webhooks())) {
        const auto box = boxes_.find_of_any(webhook.box);
        if (box.ok()) tell(webhook, box.value());
    }
    auto clock = ClockWatch::open();
    if (clock.ok()) {
        clock_.emplace(std::move(clock).value());
        spawn_lasting(boxes_.executor(), "watching the host's clock", [this] { return watch_clock(); });
    } else {
        log_warning("schedules: {}; one that is set is seen at the next firing", clock.error().message);
    }
    alarm_.by(Moment::clock::now());
    return {};
}

void Schedules::take_over(const ScheduleRecord& schedule, const std::shared_ptr<Box>& box) {
    const One one = enlist(schedule, box->record.customer);
    one->place = boxes_.limits().note(box->record.customer, Resource::kSchedules);
    if (!one->cron) {
        log_error("schedule {}: \"{}\" cannot be read; it does not fire", schedule.id, schedule.cron);
    }
    if (schedule.run.empty()) return;
    one->at_work = true;
    one->run = schedule.run;
    spawn(boxes_.executor(), "taking schedule " + one->id + " on", resume(one, box));
}

Schedules::One Schedules::enlist(const ScheduleRecord& schedule, const std::string& customer) {
    const auto one = std::make_shared<Entry>(
        Entry{.id = schedule.id, .box = schedule.box, .customer = customer, .cron = std::nullopt});
    auto cron = Cron::parse(schedule.cron);
    if (cron.ok()) one->cron = std::move(cron).value();
    all_[one->id] = one;
    of_boxes_[one->box].insert(one->id);
    if (one->cron && !schedule.paused) set_due(*one, schedule.due);
    return one;
}

void Schedules::strike(const One& one) {
    one->gone = true;
    one->place = {};
    set_due(*one, 0);
    all_.erase(one->id);
    const auto ids = of_boxes_.find(one->box);
    ids->second.erase(one->id);
    if (ids->second.empty()) of_boxes_.erase(ids);
}

// Their rows go with the box's.
void Schedules::forget(const Box& box) {
    const auto ids = of_boxes_.find(box.record.id);
    if (ids == of_boxes_.end()) return;
    for (const std::string& id : std::set<std::string>(ids->second)) strike(all_.at(id));
}

void Schedules::set_due(Entry& one, int64_t due) {
    if (one.due != 0) queue_.erase({one.due, one.id});
    one.due = due;
    if (due == 0) return;
    queue_.insert({due, one.id});
    if (queue_.begin()->second != one.id) return;
    const std::chrono::milliseconds wait(std::max<int64_t>(0, due * 1000 - unix_now_ms()));
    alarm_.by(Moment::clock::now() + wait);
}

std::optional<Moment> Schedules::look_at_clock(Moment now) {
    const int64_t ahead = clock_ahead_ms();
    if (ahead < std::exchange(clock_ms_, ahead) - kClockSetBack) mend_due(unix_now());
    size_t begun = 0;
    while (!queue_.empty() && queue_.begin()->first <= unix_now()) {
        if (++begun > kMostAtOnce) return now;  // others have their turn
        const One one = all_.at(queue_.begin()->second);
        const int64_t due = one->due;
        set_due(*one, one->cron->after(unix_now()).value_or(0));
        begin(one, due);
    }
    if (queue_.empty()) return std::nullopt;
    return now + std::chrono::milliseconds(queue_.begin()->first * 1000 - unix_now_ms());
}

// By a clock that was set back, what was to be in an hour would be in a day and an hour.
void Schedules::mend_due(int64_t now) {
    for (const auto& [id, one] : all_) {
        if (one->due <= now) continue;  // paused, or due already
        const auto next = one->cron->after(now);
        if (next && *next < one->due) set_due(*one, *next);
    }
}

Task<> Schedules::watch_clock() {
    for (;;) {
        const bool changed = co_await clock_->changed(boxes_.executor());
        if (!changed) co_return;
        alarm_.by(Moment::clock::now());
    }
}

Task<Result<ScheduleRecord>> Schedules::add(std::shared_ptr<Box> box, ScheduleRecord schedule) {
    const auto held = of_boxes_.find(box->record.id);
    if (held != of_boxes_.end() && held->second.size() >= kMostOfBox) {
        co_return Error{ErrorKind::kLimit, 0,
                        "schedules: box " + box->record.id + " has " + std::to_string(kMostOfBox) +
                            ", which is as many as one may have; delete some"};
    }
    CO_TRY_LET(auto place, boxes_.limits().take(box->record.customer, Resource::kSchedules));
    CO_TRY_LET(const Cron cron, Cron::parse(schedule.cron));
    schedule.id = random_id();
    schedule.box = box->record.id;
    schedule.created_at = schedule.updated_at = unix_now();
    schedule.due = cron.after(schedule.created_at).value_or(0);
    const auto write = [&] { return boxes_.records().add_schedule(schedule); };
    const auto follow = [&] { enlist(schedule, box->record.customer)->place = std::move(place); };
    CO_TRY(co_await boxes_.records().durably(write, follow));
    co_return schedule;
}

Task<Result<ScheduleRecord>> Schedules::change(std::shared_ptr<Box> box, std::string id, Edit edit) {
    CO_TRY_LET(ScheduleRecord schedule, find(*box, id));
    const One one = all_.at(id);
    const std::string cron_before = schedule.cron;
    const bool paused_before = schedule.paused;
    CO_TRY(edit(schedule));
    CO_TRY_LET(const Cron cron, Cron::parse(schedule.cron));
    schedule.updated_at = unix_now();
    if (schedule.paused) {
        schedule.due = 0;
    } else if (paused_before || schedule.cron != cron_before) {
        schedule.due = cron.after(schedule.updated_at).value_or(0);
    } else {
        schedule.due = one->due;
    }
    const auto write = [&] { return boxes_.records().set_schedule(schedule); };
    const auto follow = [&] {
        one->cron = cron;
        set_due(*one, schedule.due);
    };
    CO_TRY(co_await boxes_.records().durably(write, follow));
    co_return schedule;
}

Task<Result<void>> Schedules::remove(std::shared_ptr<Box> box, std::string id) {
    CO_TRY(find(*box, id));
    const One one = all_.at(id);
    co_return co_await boxes_.records().durably([&] { return boxes_.records().drop_schedule(id); },
                                                [&] { strike(one); });
}

Result<ScheduleRecord> Schedules::find(const Box& box, const std::string& id) const {
    const auto known = all_.find(id);
    if (known == all_.end() || known->second->box != box.record.id) return no_schedule(id);
    auto schedule = TRY(boxes_.records().schedule(box.record.id, id));
    if (!schedule) return no_schedule(id);
    schedule->due = known->second->due;  // the row has it when it is begun
    return *std::move(schedule);
}

Result<std::vector<ScheduleRecord>> Schedules::of(const Box& box) const {
    auto schedules = TRY(boxes_.records().schedules(box.record.id));
    for (ScheduleRecord& schedule : schedules) {
        const auto known = all_.find(schedule.id);
        if (known != all_.end()) schedule.due = known->second->due;
    }
    return schedules;
}

}  // namespace hutch::daemon
