// How a box's life ends, and the box itself. First everything is dead, then what it used is booked, then the kernel's
// count of that goes: a daemon that is killed in between leaves the count, and whether it was booked stands in the
// record.

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "daemon/box/manager.h"
#include "daemon/box/rework.h"
#include "daemon/lap.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {

static constexpr int64_t kRunsAtOnce = 8;  // that one turn of the loop deletes

Task<Result<void>> Manager::end(std::shared_ptr<Box> box) {
    auto life = box->stop_living({ErrorKind::kConflict, 0, "the box stopped before the command ended"});
    const auto ended = co_await bury(box, std::move(life));
    if (ended.ok()) give_address_back(*box);
    co_return ended;
}

Task<Result<void>> Manager::bury(std::shared_ptr<Box> box, std::optional<Life> life) {
    CO_TRY_LET(const LifeUse used, co_await workers_.run([&] {
        return kill_life(mechanisms_, box->record, std::exchange(life, std::nullopt));
    }));
    if (box->record.init_pid != 0) CO_TRY(meter_.close(*box, used));
    CO_TRY(co_await workers_.run([&] { return leave_kernel(*box); }));
    let_mounted_go(*box);
    co_return Result<void>();
}

// What is left of a life that has been booked. Its address is nobody else's as long as it stands in the firewall.
Result<void> Manager::leave_kernel(const Box& box) {
    if (box.holds_address) TRY(mechanisms_.policies->lift(netns::Ipv4{box.record.address}));
    return mechanisms_.cgroups.remove(box.record.id);
}

// The life that stood on them is over.
void Manager::let_mounted_go(Box& box) {
    const auto mounted = std::exchange(box.record.mounted, {});
    if (mounted.empty()) return;
    (void)records_.put_box(box.record);  // else the next start finds it
    layers_.drop_unused(mounted);
}

void Manager::give_address_back(Box& box) {
    if (std::exchange(box.holds_address, false)) mechanisms_.slots->release(netns::Ipv4{box.record.address});
}

// What was not brought to its end, by an error or by the last daemon, is so now: before a life, or a change of files,
// begins on top of it.
Task<Result<void>> Manager::settle(std::shared_ptr<Box> box) {
    if (!box->alive()) {
        CO_TRY(co_await bury(box, std::nullopt));
        give_address_back(*box);
    }
    if (box->record.change == FilesChange::kNone) co_return Result<void>();
    const BoxRecord begun = box->record;  // the worker's own
    CO_TRY_LET(const BoxRecord mended, co_await workers_.run([&] { return finish_change(mechanisms_, begun); }));
    // What is not safe is done again: a power cut that brought the beginning back would have a reset done again, on
    // what was written since.
    co_return co_await intend(
        box, [&](BoxRecord& record) { take_files(record, mended); },
        [&](BoxRecord& record) { take_files(record, begun); });
}

Task<Result<std::optional<DeleteTimes>>> Manager::remove(std::shared_ptr<Box> box) {
    box->interrupt.request_stop();  // a copy of its files would be of no use to anybody
    co_await box->unchanged();
    const auto action = action_for(Trigger::kDelete, box->situation());
    if (!action.ok() || action.value() != Action::kRemove) co_return std::optional<DeleteTimes>();
    strike(*box);
    events_.publish(EventType::kBoxDeleted, box->record);
    box->record.phase = Phase::kDeleting;
    const auto removal = std::make_shared<Removal>(executor_);
    Lap lap;
    (void)save(*box);  // with a full disk too: the files go all the same, and a crash now only leaves work to repeat
    lap.to(removal->times.record);
    ++box->files_lost;
    leaving_[box->record.id] = box;
    finish_behind(box, removal);
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer patience(executor_, std::chrono::seconds(2));
    co_await (removal->done.wait() || patience.async_wait(kAwait));
    if (registry_.released) co_await registry_.released(box->record.id);
    co_return removal->finished ? std::optional(removal->times) : std::nullopt;
}

void Manager::finish_behind(const std::shared_ptr<Box>& box, const std::shared_ptr<Removal>& removal) {
    spawn_lasting(executor_, "deleting box " + box->record.id,
                  [this, box, removal] { return finish_removal(box, removal); });
}

// Until it is done: what cannot be killed or removed now is tried again, and after a restart from the row.
Task<> Manager::finish_removal(std::shared_ptr<Box> box, std::shared_ptr<Removal> removal) {
    using namespace asio::experimental::awaitable_operators;
    const auto pass = work_.enter();
    auto life = box->stop_living({ErrorKind::kNotFound, 0, "box " + box->record.id + " was deleted"});
    DeleteTimes& times = removal->times;
    const auto empty = [&]() -> Result<LifeUse> {  // the files first: with a full disk nothing can be booked
        Lap lap;
        const LifeUse used = TRY(kill_life(mechanisms_, box->record, std::exchange(life, std::nullopt)));
        lap.to(times.kill);
        TRY(overlayfs::discard_upper(mechanisms_.store, box->record.id));
        mechanisms_.reaper->nudge();
        lap.to(times.files);
        return used;
    };
    const auto take_apart = [&]() -> Task<Result<void>> {
        CO_TRY_LET(const LifeUse used, co_await workers_.run(empty));
        Lap lap;
        CO_TRY(meter_.close(*box, used));
        lap.to(times.record);
        CO_TRY(co_await workers_.run([&] { return leave_kernel(*box); }));
        lap.to(times.kill);
        // What agents said may be a megabyte each, and is overwritten: a few in each turn.
        for (;;) {
            CO_TRY_LET(const bool some, records_.drop_runs(box->record.id, kRunsAtOnce));
            if (!some) break;
            co_await asio::post(executor_, asio::use_awaitable);
        }
        const auto dropped = records_.together([&]() -> Result<void> {
            TRY(records_.drop_box(box->record.id));
            return records_.fold_usage(box->record.id);
        });
        lap.to(times.record);
        co_return dropped;
    };
    for (auto pause = std::chrono::milliseconds(100); !work_.closed();
         pause = std::min(pause * 2, std::chrono::milliseconds(60'000))) {
        const Result<void> gone = co_await take_apart();
        removal->finished = gone.ok();
        if (gone.ok()) {
            give_address_back(*box);
            mechanisms_.uid_slots.release(box->record.uid_slot);
            leaving_.erase(box->record.id);
            box->place = {};
            box->memory = {};
            listener_.on_gone(*box);
            layers_.drop_unused(box->record.layers);
            layers_.drop_unused(box->record.mounted);
            if (!box->record.change_layer.empty()) layers_.drop_unused({box->record.change_layer});
            break;
        }
        log_warning("box {}: deleting it is not finished: {}", box->record.id, gone.error().message);
        asio::steady_timer timer(executor_, pause);
        co_await (timer.async_wait(kAwait) || work_.closing());
    }
    leaving_.erase(box->record.id);
    removal->done.set();
}

}  // namespace hutch::daemon
