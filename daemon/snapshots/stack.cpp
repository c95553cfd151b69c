// A box's files become a stack of layers: by a rename where nothing runs in it, by a copy where something does.

#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "daemon/box/rework.h"
#include "daemon/box/sleep.h"
#include "daemon/lap.h"
#include "daemon/snapshots/snapshots.h"
#include "daemon/spawn.h"
#include "overlayfs/layer.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

bool is_empty(int root, const char* path) {
    const auto directory = open_beneath(root, path, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return false;
    const auto empty = holds_nothing(directory.value().get());
    return empty.ok() && empty.value();
}

// A box that an older hutchd started has its /tmp in memory.
bool on_disk(int root, const char* path) {
    const auto directory = open_beneath(root, path, O_PATH | O_DIRECTORY);
    struct statfs system {};
    return !directory.ok() || fstatfs(directory.value().get(), &system) != 0 || system.f_type != TMPFS_MAGIC;
}

// Freezes the box unless it is frozen already, copies, thaws; all of it on one thread, so that a box never stands still
// waiting for one.
Result<overlayfs::Import> copy_still(Mechanisms& mechanisms, const std::string& box, bool freezing,
                                     const std::stop_token& stop, int64_t& frozen_ns) {
    if (!freezing) return overlayfs::copy_upper(mechanisms.store, box, stop);
    cgroups::Group group = TRY(mechanisms.cgroups.reopen(box));
    Lap lap;
    TRY(group.freeze(kFreezeDeadline));
    Undo thaw([&] { (void)group.thaw(); });
    auto copied = overlayfs::copy_upper(mechanisms.store, box, stop);
    thaw.commit();
    TRY(group.thaw());
    lap.to(frozen_ns);
    return copied;
}

// Its init may be ended, and nobody would notice: there is no other process, nothing is being done with the box, and
// it has no files in memory.
bool is_still(Box& box) {
    if (!box.alive()) return true;
    if (box.busy() || box.activity().use) return false;
    const auto tasks = box.life().group.tasks();
    const int root = box.life().root.get();
    return tasks.ok() && tasks.value() == 1 && (on_disk(root, "tmp") || is_empty(root, "tmp")) &&
           is_empty(root, "dev/shm");
}

}  // namespace

// Before the box is claimed: what it has written may take long to reach the disk, or to be added up, and it works on
// meanwhile. If the sync fails, the one that counts will say so.
Task<> Snapshots::sync(std::shared_ptr<Box> box, KeepTimes& times) {
    Lap lap;
    const std::string id = box->record.id;
    const std::string customer = box->record.customer;
    (void)co_await copiers_.run_for(customer, [&] { return overlayfs::sync_upper(boxes_.mechanisms().store, id); });
    lap.to(times.sync);
    if (boxes_.limits().limit(customer, Resource::kDisk)) co_await boxes_.look_at_disk(box);
}

Result<CustomerLimits::Hold> Snapshots::take_room(const Box& box) {
    const std::string& customer = box.record.customer;
    if (!boxes_.limits().limit(customer, Resource::kDisk)) return CustomerLimits::Hold();
    return boxes_.limits().take(customer, Resource::kDisk, box.upper_bytes);
}

Task<Result<Snapshots::Stack>> Snapshots::keep_files(std::shared_ptr<Box> box, Commit commit, Follow follow,
                                                     KeepTimes& times) {
    if (box->record.layers.size() >= kMostLayers) {  // others were faster
        co_return Error{ErrorKind::kConflict, 0,
                        "its files were kept " + std::to_string(kMostLayers) +
                            " times in a row, and are about to be made one layer again; try again in a moment"};
    }
    if (is_still(*box)) co_return co_await seal(box, std::move(commit), std::move(follow), times);
    co_return co_await copy(box, std::move(commit), std::move(follow), times);
}

Task<Result<Snapshots::Stack>> Snapshots::seal(std::shared_ptr<Box> box, Commit commit, Follow follow,
                                               KeepTimes& times) {
    Lap lap;
    BoxRecord& record = box->record;
    Records& records = boxes_.records();
    const std::string layer = random_id();
    // Before the rename, and safe from a power cut: a layer that no record knows is swept, and with it the box's files.
    Result<void> done = co_await boxes_.intend(
        box,
        [&](BoxRecord& row) {
            row.change = FilesChange::kSealing;
            row.change_layer = layer;
        },
        [](BoxRecord& row) {
            row.change = FilesChange::kNone;
            row.change_layer.clear();
        });
    if (!done.ok()) co_return done.error();
    lap.to(times.record);
    if (box->alive()) {
        auto root = duplicate(box->life().root.get());
        if (root.ok()) box->old_root = std::move(root).value();
        done = co_await boxes_.end(box);
    }
    lap.to(times.end);
    const BoxRecord begun = record;  // the worker's own
    if (done.ok()) {
        done =
            co_await boxes_.workers().run_for(record.customer, [&] { return seal_files(boxes_.mechanisms(), begun); });
    }
    if (!done.ok()) {
        // Half done, perhaps: what is there decides, as it would after a crash. If that fails, its next start tries.
        const auto mended = co_await boxes_.workers().run([&] { return finish_change(boxes_.mechanisms(), begun); });
        if (mended.ok()) take_files(record, mended.value());
        if (mended.ok()) (void)records.put_box(record);
        co_return done.error();
    }
    lap.to(times.seal);
    record.layers.insert(record.layers.begin(), layer);
    if (const auto found = readers_.find(record.id); found != readers_.end()) found->second.sealed.push_back(layer);
    record.change = FilesChange::kNone;
    record.change_layer.clear();
    record.disk_bytes = 0;
    box->upper_bytes = 0;
    box->measured_at.reset();
    const auto write = [&]() -> Result<void> {
        TRY(records.put_box(record));
        return commit(record.layers);
    };
    done = co_await records.durably(write, follow);
    lap.to(times.record);
    if (!done.ok()) co_return done.error();  // the record on disk may say "sealing" still, which is true enough
    co_return record.layers;
}

Task<Result<overlayfs::Import>> Snapshots::copy_frozen(std::shared_ptr<Box> box, KeepTimes& times) {
    BoxRecord& record = box->record;
    Records& records = boxes_.records();
    const bool freezing = box->alive() && !box->sleep();
    if (freezing) record.change = FilesChange::kCopying;  // the next daemon would take the freeze for a pause
    box->interrupt = std::stop_source();
    copying_.insert(box);
    const Undo done([&] {
        copying_.erase(box);
        if (!freezing) return;
        record.change = FilesChange::kNone;
        (void)records.put_box(record);
    });
    if (freezing) CO_TRY(records.put_box(record));
    const std::string id = record.id;
    co_return co_await copiers_.run_for(record.customer, [&] {
        return copy_still(boxes_.mechanisms(), id, freezing, box->interrupt.get_token(), times.frozen);
    });
}

Task<Result<Snapshots::Stack>> Snapshots::copy(std::shared_ptr<Box> box, Commit commit, Follow follow,
                                               KeepTimes& times) {
    Lap lap;
    CO_TRY_LET(overlayfs::Import import, co_await copy_frozen(box, times));
    lap = Lap();
    CO_TRY_LET(const std::string layer, co_await copiers_.run_for(box->record.customer, [&] {
        return overlayfs::seal_layer(boxes_.mechanisms().store, std::move(import));
    }));
    lap.to(times.copied);
    Stack stack = box->record.layers;
    stack.insert(stack.begin(), layer);
    const auto done = co_await boxes_.records().durably([&] { return commit(stack); }, follow);
    lap.to(times.record);
    if (!done.ok()) {
        boxes_.layers().drop_unused({layer});  // unless what is kept stands
        co_return done.error();
    }
    co_return stack;
}

Task<Result<std::vector<std::shared_ptr<Box>>>> Snapshots::fork(std::shared_ptr<Box> box,
                                                                std::vector<CreateBox> commands) {
    KeepTimes times;
    CO_TRY_LET(const auto pass, boxes_.enter());
    CO_TRY(boxes_.admit(commands));  // all, or nothing is made
    CO_TRY(co_await flatten(box, Height::kTooHigh));
    co_await sync(box, times);
    CO_TRY_LET(auto claim, co_await boxes_.claim(box));
    const auto room = take_room(*box);
    if (!room.ok()) {
        boxes_.release(box, std::move(claim), false);
        co_return room.error();
    }
    const bool was_awake = box->alive() && !box->sleep();
    SnapshotRecord moment;
    moment.image = box->record.image;
    moment.env = box->record.env;
    const auto kept = co_await keep_files(
        box,
        [&](const Stack& stack) {
            moment.layers = stack;
            return Result<void>();
        },
        [] {}, times);
    boxes_.release(box, std::move(claim), was_awake && !box->alive());
    if (!kept.ok()) co_return Result<void>(kept.error()).error().in("fork of box " + box->record.id);
    for (CreateBox& command : commands) command.image = as_image(moment);
    flatten_behind(box);
    std::optional<InHand> held(std::in_place, *this, moment.layers);
    auto made = co_await create_all(std::move(commands));
    held.reset();
    boxes_.weigh_those_on({moment.layers.front()});
    co_return made;
}

// As many at a time as there are workers; the first failure is answered, and takes the others with it.
Task<Result<std::vector<std::shared_ptr<Box>>>> Snapshots::create_all(std::vector<CreateBox> commands) {
    std::vector<Result<std::shared_ptr<Box>>> made(commands.size(), Error{});
    Event all(boxes_.executor());
    size_t left = commands.size();
    const auto create = [&](size_t i) -> Task<> { made[i] = co_await boxes_.create(std::move(commands[i])); };
    for (size_t i = 0; i < commands.size(); ++i) {
        spawn(boxes_.executor(), "making one of " + std::to_string(commands.size()) + " forks", create(i),
              [&, i](const Result<void>& how) {
                  if (!how.ok()) made[i] = how.error();
                  if (--left == 0) all.set();
              });
    }
    co_await all.wait();
    std::vector<std::shared_ptr<Box>> boxes;
    Result<void> failed;
    for (auto& box : made) {
        if (box.ok()) {
            boxes.push_back(box.value());
        } else {
            failed = box.error();
        }
    }
    if (failed.ok()) co_return boxes;
    for (const auto& box : boxes) (void)co_await boxes_.remove(box);
    co_return failed.error();
}

}  // namespace hutch::daemon
