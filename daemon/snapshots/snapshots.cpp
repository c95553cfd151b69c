#include "daemon/snapshots/snapshots.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/ids.h"
#include "daemon/box/rework.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "overlayfs/layer.h"

namespace hutch::daemon {
namespace {

SnapshotRecord describe(const Box& box, std::string name) {
    const BoxRecord& record = box.record;
    return {.id = random_id(),
            .customer = record.customer,
            .name = std::move(name),
            .box = record.id,
            .box_name = record.name,
            .image = record.image,
            .layers = {},
            .size = record.size,
            .env = record.env,
            .bytes = std::max(record.disk_bytes, box.upper_bytes),
            .booked_ms = unix_now_ms(),
            .created_ms = unix_now_ms(),
            .nesting = record.nesting};
}

}  // namespace

Snapshots::Snapshots(Manager& boxes) : boxes_(boxes) {
    boxes_.layers().add_user([this](const std::string& layer) { return uses_layer(layer); });
    boxes_.limits().add_measure(Resource::kSnapshots, [this](const std::string& customer) {
        return std::count_if(snapshots_.begin(), snapshots_.end(),
                             [&](const auto& entry) { return entry.second.record.customer == customer; });
    });
    boxes_.limits().add_measure(Resource::kDisk, [this](const std::string& customer) {
        int64_t sum = 0;
        for (const auto& [id, kept] : snapshots_) sum += kept.record.customer == customer ? kept.record.bytes : 0;
        return sum;
    });
}

Snapshots::InHand::InHand(Snapshots& snapshots, Stack layers) : snapshots_(snapshots), layers_(std::move(layers)) {
    snapshots_.in_hand_.insert(layers_.begin(), layers_.end());
}

Snapshots::InHand::~InHand() {
    for (const std::string& layer : layers_) snapshots_.in_hand_.erase(snapshots_.in_hand_.find(layer));
    snapshots_.boxes_.layers().drop_unused(layers_);
}

Snapshots::Reader::Reader(Snapshots& snapshots, const Box& box)
    : snapshots_(snapshots), box_(box), id_(box.record.id), lost_(box.files_lost) {
    ++snapshots_.readers_[id_].count;
}

Snapshots::Reader::~Reader() {
    const auto found = snapshots_.readers_.find(id_);
    if (--found->second.count > 0) return;
    const Stack sealed = std::move(found->second.sealed);
    snapshots_.readers_.erase(found);
    snapshots_.boxes_.layers().drop_unused(sealed);
}

Result<void> Snapshots::Reader::check() const {
    if (box_.files_lost == lost_) return {};
    return Error{ErrorKind::kConflict, 0,
                 "box " + id_ + ": its files were deleted or rolled back while they were compared"};
}

bool Snapshots::uses_layer(const std::string& layer) const {
    const auto sealed = [&layer](const auto& entry) { return contains(entry.second.sealed, layer); };
    if (std::any_of(readers_.begin(), readers_.end(), sealed)) return true;
    return in_hand_.contains(layer) || under_snapshots_.contains(layer);
}

void Snapshots::enlist(SnapshotRecord record, Moment booked_at) {
    for (const std::string& layer : record.layers) ++under_snapshots_[layer];
    const std::string id = record.id;
    snapshots_[id] = {std::move(record), booked_at};
}

Snapshots::Stack Snapshots::strike(const std::string& id) {
    Stack layers = std::move(snapshots_.extract(id).mapped().record.layers);
    for (const std::string& layer : layers) {
        const auto found = under_snapshots_.find(layer);
        if (--found->second == 0) under_snapshots_.erase(found);
    }
    return layers;
}

Result<void> Snapshots::load() {
    Stack unmeasured;
    for (SnapshotRecord& snapshot : TRY(boxes_.records().snapshots())) {
        if (const auto missing = boxes_.layers().missing(snapshot.layers)) {
            log_error("snapshot {}: its layer {} is not in the store; it cannot be used", snapshot.id, *missing);
            continue;
        }
        const std::string id = snapshot.id;
        const Moment booked_at = moment_of(snapshot.booked_ms);
        const bool measured = snapshot.measured;
        enlist(std::move(snapshot), booked_at);
        if (!measured) unmeasured.push_back(id);
    }
    for (const std::string& id : unmeasured) add_up(id);
    return {};
}

ImageRecord Snapshots::as_image(const SnapshotRecord& snapshot) {
    ImageRecord image;
    image.name = snapshot.image;
    image.layers = snapshot.layers;
    image.env = snapshot.env;
    return image;
}

Result<SnapshotRecord> Snapshots::find_of_any(const std::string& id) {
    const auto found = snapshots_.find(id);
    if (found != snapshots_.end()) return found->second.record;
    return Error{ErrorKind::kNotFound, 0, "no snapshot has the id \"" + id + "\""};
}

std::vector<SnapshotRecord> Snapshots::picked(const std::function<bool(const SnapshotRecord&)>& wanted) {
    std::vector<SnapshotRecord> found;
    for (const auto& [id, kept] : snapshots_) {
        if (wanted(kept.record)) found.push_back(kept.record);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const SnapshotRecord& a, const SnapshotRecord& b) { return a.created_ms < b.created_ms; });
    return found;
}

std::vector<SnapshotRecord> Snapshots::list(const std::string& box_id) {
    return picked([&](const SnapshotRecord& one) { return box_id.empty() || one.box == box_id; });
}

std::vector<SnapshotRecord> Snapshots::named(const std::string& customer, const std::string& name,
                                             const std::string& box_id) {
    return picked([&](const SnapshotRecord& one) {
        return one.name == name && one.customer == customer && (box_id.empty() || one.box == box_id);
    });
}

Task<Result<SnapshotRecord>> Snapshots::take(std::shared_ptr<Box> box, std::string name, KeepTimes& times, Also also) {
    CO_TRY_LET(auto place, boxes_.limits().take(box->record.customer, Resource::kSnapshots));
    CO_TRY(co_await flatten(box, Height::kTooHigh));
    co_await sync(box, times);
    CO_TRY_LET(auto claim, co_await boxes_.claim(box));
    auto room = take_room(*box);
    if (!room.ok()) {
        boxes_.release(box, std::move(claim), false);
        co_return room.error();
    }
    const bool was_awake = box->alive() && !box->sleep();
    SnapshotRecord snapshot = describe(*box, std::move(name));
    const auto kept = co_await keep_files(
        box,
        [&](const Stack& stack) -> Result<void> {
            snapshot.layers = stack;
            TRY(boxes_.records().put_snapshot(snapshot));
            return also(snapshot);
        },
        [&] {
            enlist(snapshot, Moment::clock::now());
            place = {};  // it counts by itself
            room.value() = {};
            add_up(snapshot.id);
        },
        times);
    boxes_.release(box, std::move(claim), was_awake && !box->alive());
    if (!kept.ok()) co_return Result<void>(kept.error()).error().in("snapshot of box " + box->record.id);
    boxes_.note(*box, "info", "snapshot " + snapshot.id + " taken");
    flatten_behind(box);
    co_return snapshot;
}

UsageRecord Snapshots::unbooked(const Kept& kept) {
    return {.box = kept.record.box,
            .customer = kept.record.customer,
            .name = kept.record.box_name,
            .period = period_of(unix_now_ms()),
            .counters = {},
            .memory_peak_bytes = 0,
            .storage_byte_seconds = byte_seconds(kept.record.bytes, Moment::clock::now() - kept.booked_at)};
}

std::vector<UsageRecord> Snapshots::pending() const {
    std::vector<UsageRecord> usage;
    for (const auto& [id, kept] : snapshots_) usage.push_back(unbooked(kept));
    return usage;
}

Result<void> Snapshots::book(Kept& kept) {
    const Moment now = Moment::clock::now();
    SnapshotRecord record = kept.record;
    record.booked_ms = unix_now_ms();
    TRY(boxes_.records().together([&]() -> Result<void> {
        TRY(boxes_.records().add_usage(unbooked(kept)));
        return boxes_.records().put_snapshot(record);
    }));
    kept = {std::move(record), now};
    return {};
}

Task<> Snapshots::book() {
    std::vector<std::string> ids;
    for (const auto& [id, kept] : snapshots_) ids.push_back(id);
    for (const std::string& id : ids) {
        co_await asio::post(boxes_.executor(), asio::use_awaitable);
        const auto found = snapshots_.find(id);
        if (found == snapshots_.end()) continue;  // deleted meanwhile
        const auto booked = book(found->second);
        if (booked.ok()) continue;
        log_warning("snapshot {}: its storage cannot be booked, tried again in an hour: {}", id,
                    booked.error().message);
    }
}

void Snapshots::stop() {
    stop_.request_stop();
    for (const auto& box : copying_) box->interrupt.request_stop();
}

Task<Result<void>> Snapshots::remove(std::vector<std::string> ids) {
    for (const std::string& id : ids) CO_TRY(find_of_any(id));
    CO_TRY(boxes_.records().together([&]() -> Result<void> {
        for (const std::string& id : ids) {
            TRY(boxes_.records().add_usage(unbooked(snapshots_.at(id))));
            TRY(boxes_.records().drop_snapshot(id));
        }
        return {};
    }));
    Stack layers;
    for (const std::string& id : ids) {
        const Stack gone = strike(id);
        layers.insert(layers.end(), gone.begin(), gone.end());
    }
    Result<void> done;
    {
        const InHand held(*this, layers);  // or a power cut would bring snapshots back without their files
        done = co_await boxes_.records().synced();
    }
    boxes_.weigh_those_on(layers);
    co_return done;
}

void Snapshots::add_up(const std::string& id) {
    const Stack top{snapshots_.at(id).record.layers.front()};
    boxes_.layers().add_up(top, [this, id] { note_size(id); });
}

void Snapshots::note_size(const std::string& id) {
    const auto found = snapshots_.find(id);
    if (found == snapshots_.end()) return;
    const auto bytes = boxes_.layers().bytes(found->second.record.layers.front());
    if (!bytes) return;
    auto recorded = book(found->second);  // until now the estimate counted
    found->second.record.bytes = *bytes;
    found->second.record.measured = true;
    if (recorded.ok()) recorded = boxes_.records().put_snapshot(found->second.record);
    if (!recorded.ok()) log_warning("snapshot {}: its size cannot be recorded: {}", id, recorded.error().message);
}

Task<Result<void>> Snapshots::roll_back(std::shared_ptr<Box> box, std::string id) {
    CO_TRY_LET(auto claim, co_await boxes_.claim(box));
    CO_TRY_LET(const SnapshotRecord snapshot, find_of_any(id));  // after the wait: it may have been deleted meanwhile
    if (snapshot.box != box->record.id) {
        co_return invalid("snapshot_id: " + id + " is not of this box; make a box from it instead");
    }
    const bool was_awake = box->alive() && !box->sleep();
    BoxRecord& record = box->record;
    const Stack old = record.layers;
    const auto begun = co_await boxes_.intend(
        box,
        [&](BoxRecord& row) {
            row.layers = snapshot.layers;
            row.change = FilesChange::kResetting;
        },
        [&](BoxRecord& row) {
            row.layers = old;
            row.change = FilesChange::kNone;
        });
    if (record.change == FilesChange::kNone) co_return begun.error();
    ++box->files_lost;
    // From here on there is no way back, or none that could be written down: what fails now is finished by the box's
    // next start.
    Result<void> done;
    if (box->alive()) done = co_await boxes_.end(box);
    const BoxRecord begun_record = record;  // the worker's own
    if (done.ok()) {
        done = co_await boxes_.workers().run([&] { return reset_files(boxes_.mechanisms(), begun_record); });
    }
    if (done.ok()) {
        BoxRecord reset = record;
        reset.change = FilesChange::kNone;
        reset.disk_bytes = 0;
        done = boxes_.records().put_box(reset);
        if (done.ok()) take_files(record, reset);
        // A power cut that brought the beginning back would have the reset done again, on what was written since.
        if (done.ok()) done = co_await boxes_.records().synced();
    }
    if (done.ok()) box->upper_bytes = 0;
    box->measured_at.reset();
    boxes_.release(box, std::move(claim), was_awake);
    boxes_.layers().drop_unused(old);
    if (!done.ok()) co_return std::move(done).error().in("rolling box " + box->record.id + " back");
    boxes_.note(*box, "info", "rolled back to snapshot " + id);
    co_return Result<void>();
}

}  // namespace hutch::daemon
