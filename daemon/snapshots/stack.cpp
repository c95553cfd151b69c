// A box's files become a stack of layers: by a rename where nothing runs in it, by a copy where something does.

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/file.h"
#include "base/ids.h"
#include "daemon/box/rework.h"
#include "daemon/box/sleep.h"
#include "daemon/lap.h"
#include "daemon/log.h"
#include "daemon/snapshots/snapshots.h"
#include "overlayfs/layer.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

bool is_empty(int root, const char* path) {
    const auto directory = open_beneath(root, path, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return false;
    const auto names = names_in(directory.value().get());
    return names.ok() && names.value().empty();
}

// Its init may be ended, and nobody would notice: there is no other process, nothing is being done with the box, and
// it has no files in memory.
bool is_still(Box& box) {
    if (!box.alive()) return true;
    if (box.busy() || box.activity().use) return false;
    const auto tasks = box.life().group.tasks();
    const int root = box.life().root.get();
    return tasks.ok() && tasks.value() == 1 && is_empty(root, "tmp") && is_empty(root, "dev/shm");
}

}  // namespace

// Before the box is claimed: what it has written may take long to reach the disk, and it works on meanwhile. If it
// fails, the sync that counts will say so.
Task<> Snapshots::sync(const Box& box, KeepTimes& times) {
    Lap lap;
    const std::string id = box.record.id;
    (void)co_await copiers_.run([&] { return overlayfs::sync_upper(boxes_.mechanisms().store, id); });
    lap.to(times.sync);
}

Task<Result<Snapshots::Stack>> Snapshots::keep_files(std::shared_ptr<Box> box, Commit commit, KeepTimes& times) {
    if (is_still(*box)) co_return co_await seal(box, std::move(commit), times);
    co_return co_await copy(box, std::move(commit), times);
}

Task<Result<Snapshots::Stack>> Snapshots::seal(std::shared_ptr<Box> box, Commit commit, KeepTimes& times) {
    Lap lap;
    BoxRecord& record = box->record;
    Records& records = boxes_.records();
    record.change = FilesChange::kSealing;
    record.change_layer = random_id();
    // Before the rename, and safe from a power cut: a layer that no record knows is swept, and with it the box's files.
    Result<void> done = records.durably([&] { return records.put_box(record); });
    if (!done.ok()) {
        record.change = FilesChange::kNone;
        record.change_layer.clear();
        co_return done.error();
    }
    lap.to(times.record);
    if (box->alive()) done = co_await boxes_.end(box);
    lap.to(times.end);
    const BoxRecord begun = record;  // the worker's own
    if (done.ok()) done = co_await boxes_.workers().run([&] { return seal_files(boxes_.mechanisms(), begun); });
    if (!done.ok()) {
        // Half done, perhaps: what is there decides, as it would after a crash. If that fails, its next start tries.
        const auto mended = co_await boxes_.workers().run([&] { return finish_change(boxes_.mechanisms(), begun); });
        if (mended.ok()) take_files(record, mended.value());
        if (mended.ok()) (void)records.put_box(record);
        co_return done.error();
    }
    lap.to(times.seal);
    record.layers.insert(record.layers.begin(), record.change_layer);
    record.change = FilesChange::kNone;
    record.change_layer.clear();
    record.disk_bytes = 0;
    done = records.durably([&]() -> Result<void> {
        TRY(records.put_box(record));
        return commit(record.layers);
    });
    lap.to(times.record);
    if (!done.ok()) co_return done.error();  // the record on disk says "sealing" still, which is true enough
    co_return record.layers;
}

// All its processes stand still meanwhile, those that were to run do so again afterwards, come what may.
Task<Result<overlayfs::Import>> Snapshots::copy_frozen(std::shared_ptr<Box> box) {
    BoxRecord& record = box->record;
    const bool freezing = box->alive() && !box->sleep();
    if (freezing) {
        record.change = FilesChange::kCopying;  // the next daemon would take the freeze for a pause
        auto stopped = boxes_.records().put_box(record);
        if (stopped.ok()) stopped = co_await freeze(*box, boxes_.workers());
        if (!stopped.ok()) {
            record.change = FilesChange::kNone;
            co_return stopped.error();
        }
    }
    const std::string id = record.id;
    auto copied =
        co_await copiers_.run([&] { return overlayfs::copy_upper(boxes_.mechanisms().store, id, stop_.get_token()); });
    if (freezing) {
        record.change = FilesChange::kNone;
        const auto thawed = co_await thaw(*box, boxes_.workers());
        if (!thawed.ok()) co_return thawed.error();
        (void)boxes_.records().put_box(record);  // a next daemon that thaws it once more does no harm
    }
    co_return copied;
}

Task<Result<Snapshots::Stack>> Snapshots::copy(std::shared_ptr<Box> box, Commit commit, KeepTimes& times) {
    Lap lap;
    CO_TRY_LET(overlayfs::Import import, co_await copy_frozen(box));
    lap.to(times.frozen);
    CO_TRY_LET(const std::string layer, co_await copiers_.run([&] {
        return overlayfs::seal_layer(boxes_.mechanisms().store, std::move(import));
    }));
    lap.to(times.copied);
    Stack stack = box->record.layers;
    stack.insert(stack.begin(), layer);
    const auto done = boxes_.records().durably([&] { return commit(stack); });
    lap.to(times.record);
    if (!done.ok()) {
        boxes_.layers().drop_unused({layer});
        co_return done.error();
    }
    co_return stack;
}

Task<Result<std::vector<std::shared_ptr<Box>>>> Snapshots::fork(std::shared_ptr<Box> box,
                                                                std::vector<CreateBox> commands) {
    KeepTimes times;
    co_await sync(*box, times);
    CO_TRY_LET(auto claim, co_await boxes_.claim(box));
    const bool was_awake = box->alive() && !box->sleep();
    SnapshotRecord moment;
    moment.image = box->record.image;
    moment.env = box->record.env;
    const auto kept = co_await keep_files(
        box,
        [&](const Stack& stack) {
            moment.layers = stack;
            in_hand_.insert(stack.front());
            return Result<void>();
        },
        times);
    boxes_.release(box, std::move(claim), was_awake && !box->alive());
    if (!kept.ok()) co_return Result<void>(kept.error()).error().in("fork of box " + box->record.id);
    for (CreateBox& command : commands) command.image = as_image(moment);
    auto made = co_await create_all(std::move(commands));
    in_hand_.erase(in_hand_.find(moment.layers.front()));
    boxes_.layers().drop_unused(moment.layers);
    co_return made;
}

// As many at a time as there are workers; the first failure is answered, and takes the others with it.
Task<Result<std::vector<std::shared_ptr<Box>>>> Snapshots::create_all(std::vector<CreateBox> commands) {
    std::vector<Result<std::shared_ptr<Box>>> made(commands.size(), Error{});
    Event all(boxes_.executor());
    size_t left = commands.size();
    const auto create = [&](size_t i) -> Task<> {
        made[i] = co_await boxes_.create(std::move(commands[i]));
        if (--left == 0) all.set();
    };
    for (size_t i = 0; i < commands.size(); ++i) asio::co_spawn(boxes_.executor(), create(i), asio::detached);
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
