#include "daemon/box/sleep.h"

namespace hutch::daemon {
namespace {

// What takes no longer than the way to a worker thread and back.
bool is_small(const cgroups::Group& group) {
    constexpr uint64_t kFewTasks = 16;
    const auto tasks = group.tasks();
    return tasks.ok() && tasks.value() <= kFewTasks;
}

}  // namespace

Task<Result<void>> freeze(Box& box, Workers& workers) {
    Life& life = box.life();
    bool frozen = false;
    if (is_small(life.group)) {
        CO_TRY_LET(frozen, life.group.try_freeze());
    }
    if (!frozen) {
        const auto waited = co_await workers.run([&] { return life.group.freeze(kFreezeDeadline); });
        if (!waited.ok() && waited.error().code == ETIMEDOUT) {
            co_return Error{ErrorKind::kConflict, ETIMEDOUT,
                            "box " + box.record.id + ": a process in it waits in the kernel and did not stop within " +
                                std::to_string(kFreezeDeadline.count()) + " ms; all of it runs on, try again later"};
        }
        if (!waited.ok()) co_return waited.error();
    }
    life.sleep.emplace();
    co_return Result<void>();
}

Task<Result<void>> thaw(Box& box, Workers& workers) {
    cgroups::Group& group = box.life().group;
    if (is_small(group)) {
        CO_TRY(group.thaw());
    } else {
        CO_TRY(co_await workers.run([&] { return group.thaw(); }));
    }
    box.life().sleep.reset();
    co_return Result<void>();
}

Task<> reclaim(std::shared_ptr<Box> box, Mechanisms& mechanisms, Workers& workers) {
    const std::string id = box->record.id;
    const Moment since = box->life().sleep->since;
    box->life().sleep->reclaiming = true;
    const auto given = co_await workers.run([&]() -> Result<uint64_t> {
        cgroups::Group group =
            TRY(mechanisms.cgroups.reopen(id));  // its own: the box may be woken or deleted meanwhile
        return group.reclaim();
    });
    if (!given.ok() || !box->alive()) co_return;
    auto& sleep = box->life().sleep;
    if (sleep && sleep->since == since) sleep->reclaimed_bytes = given.value();
}

}  // namespace hutch::daemon
