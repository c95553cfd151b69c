#include "daemon/box/sleep.h"

namespace hutch::daemon {
namespace {

// A process that waits in the kernel for a device or a network file system stops only when that answers.
constexpr cgroups::Millis kFreezeDeadline{1000};

}  // namespace

Task<Result<void>> freeze(Box& box, Workers& workers) {
    Life& life = box.life();
    CO_TRY_LET(bool frozen, life.group.try_freeze());
    if (!frozen) {
        const auto waited = co_await workers.run([&] { return life.group.freeze(kFreezeDeadline); });
        if (!waited.ok() && waited.error().code == ETIMEDOUT) {
            co_return Error{ErrorKind::kConflict, ETIMEDOUT,
                            "box " + box.record.id + ": a process in it waits in the kernel and did not stop within " +
                                std::to_string(kFreezeDeadline.count()) + " ms; all of it runs on, try again later"};
        }
        if (!waited.ok()) co_return waited.error();
    }
    life.frozen = true;
    co_return Result<void>();
}

Result<void> thaw(Box& box) {
    TRY(box.life().group.thaw());
    box.life().frozen = false;
    return {};
}

}  // namespace hutch::daemon
