// What time does to boxes: those that nobody needs are paused, what a pause can give back is asked for, ephemeral ones
// end. One timer for all; what is due and when is agenda.h's to say.

#include "daemon/box/manager.h"
#include "daemon/box/sleep.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

constexpr std::chrono::minutes kAgain{1};

Timetable Manager::timetable(const Box& box) const {
    const Situation at = box.situation();
    const bool awake = at.alive && !at.frozen && !at.creating && !at.deleting && !box.record.internal;
    const int64_t timeout = box.record.idle_timeout < 0 ? mechanisms_.config.idle_timeout : box.record.idle_timeout;
    Timetable table{.awake = awake,
                    .activity = box.activity(),
                    .settings = {box.record.keep_alive, std::chrono::seconds(timeout)},
                    .expires_at = box.expires_at};
    if (const auto sleep = box.sleep(); sleep && !sleep->reclaiming) {
        table.reclaim_at = sleep->since + std::chrono::seconds(mechanisms_.config.reclaim_after);
    }
    return table;
}

void Manager::watch(const Box& box) {
    const Moment now = Moment::clock::now();
    const Agenda agenda = agenda_of(timetable(box), now);
    if (agenda.due != Due::kNothing) {
        alarm_.by(now);
    } else if (agenda.again) {
        alarm_.by(*agenda.again);
    }
}

std::optional<Moment> Manager::look_at_clock(Moment now) {
    std::optional<Moment> next;
    std::vector<std::pair<Due, std::shared_ptr<Box>>> due;  // acted on afterwards: that changes the map
    for (const auto& [id, box] : boxes_) {
        const Agenda agenda = agenda_of(timetable(*box), now);
        if (agenda.due != Due::kNothing) due.emplace_back(agenda.due, box);
        next = earlier(next, agenda.again);
    }
    for (const auto& [what, box] : due) {
        spawn(executor_, "what time asks of box " + box->record.id, act(what, box), [this](const Result<void>& how) {
            if (!how.ok()) alarm_.by(Moment::clock::now() + kAgain);
        });
    }
    return next;
}

Task<> Manager::act(Due due, std::shared_ptr<Box> box) {
    switch (due) {
        case Due::kPause: {
            const auto paused = co_await apply(Trigger::kIdle, box);
            if (!paused.ok()) log_warning("pausing it, as it is idle: {}", paused.error().message);
            if (paused.ok() && box->status() == Status::kPaused) note(*box, "info", "paused: nobody needed it");
            break;
        }
        case Due::kReclaim:
            if (const auto pass = work_.enter(); !work_.closed() && box->situation().frozen) {
                co_await reclaim(box, mechanisms_, reclaimers_);
                co_await meter_.measure(box);
            }
            break;
        case Due::kDelete:
            log_info("box {}: its time is over", box->record.id);
            (void)co_await remove(box);
            break;
        case Due::kNothing:
            break;
    }
}

}  // namespace hutch::daemon
