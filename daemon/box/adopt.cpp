// What an earlier daemon left: every row is brought back to life, or what remains of it is removed and said.
//
//   row says     found                      then
//   creating     anything                   removed: nobody was told of it
//   deleting     anything                   removed: that had been promised
//   ready        its init lives             taken over: same processes, same files; frozen if the kernel says so
//   ready        nobody can tell            the daemon does not start: what may live is neither ended nor given up
//   ready        no init (reboot, killed)   paused: its files stay, work wakes it into a fresh init
//   (no row)     group, link, upper, layer  removed
//
// All boxes are looked at before the first is changed. Idempotent: a crash in here leaves the same or less to do for
// the next start.

#include <set>

#include "daemon/box/manager.h"
#include "daemon/box/network.h"
#include "daemon/box/rework.h"
#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "netns/box_firewall.h"
#include "netns/recover.h"
#include "overlayfs/layer.h"
#include "overlayfs/recover.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

constexpr cgroups::Millis kSweepDeadline{5000};

template <typename Names>
void say(const char* what, const Names& names) {
    for (const auto& name : names) log_info("removed {} {}, which no record knows", what, name);
}

Result<void> sweep(Mechanisms& mechanisms, const std::set<std::string>& boxes, const std::set<std::string>& layers,
                   const std::vector<netns::Ipv4>& addresses) {
    const auto groups = TRY(mechanisms.cgroups.recover(boxes, kSweepDeadline));
    say("control group", groups.removed);
    for (const auto& busy : groups.busy)
        log_warning("control group of {} does not die yet; the next start retries", busy);
    say("link", TRY(netns::recover(mechanisms.network, addresses)));
    const auto files = TRY(overlayfs::recover(mechanisms.store, layers, boxes));
    say("files of box", files.uppers);
    say("layer", files.layers);
    say("unfinished layer", files.unfinished);
    mechanisms.reaper->nudge();
    return {};
}

// The last daemon may have ended between the two firewalls, or have known of one alone.
void mend_firewall(const Mechanisms& mechanisms, const Life& life, const BoxRecord& box) {
    const auto mended = netns::mend_box_firewall(life.pidfd.get(), mechanisms.network, firewall_policy(box));
    if (!mended.ok()) log_error("box {}: {}; the host's firewall alone holds it", box.id, mended.error().message);
}

}  // namespace

// As bury() and finish_removal(), before there is an event loop.
Result<void> Manager::bury_now(Box& box) {
    const LifeUse used = TRY(kill_life(mechanisms_, box.record, std::nullopt));
    if (box.record.init_pid != 0) TRY(meter_.close(box, used));
    TRY(mechanisms_.cgroups.remove(box.record.id));
    if (box.record.mounted.empty()) return {};
    box.record.mounted.clear();  // and what nobody else knows of them is swept
    return records_.put_box(box.record);
}

// Files that were being changed when the last daemon ended. With a life on them only if that had not begun yet.
Result<void> Manager::mend_files(Box& box, std::optional<Life>& life) {
    BoxRecord& record = box.record;
    if (record.change == FilesChange::kNone) return {};
    bool begun_on_files = record.change == FilesChange::kResetting;
    if (record.change == FilesChange::kSealing) {
        begun_on_files = TRY(overlayfs::has_layer(mechanisms_.store, record.change_layer));
    }
    if (begun_on_files) {
        life.reset();
        TRY(bury_now(box));
    }
    const BoxRecord begun = record;
    record = TRY(finish_change(mechanisms_, begun));
    log_info("box {}: a change of its files was under way; finished or taken back", record.id);
    const BoxRecord mended = record;
    auto kept = records_.put_box(record);
    if (!kept.ok()) {
        take_files(record, begun);
        return kept;
    }
    kept = records_.synced_now();
    if (!kept.ok()) {
        take_back(
            record, [&](BoxRecord& row) { take_files(row, mended); }, [&](BoxRecord& row) { take_files(row, begun); });
    }
    return kept;
}

Result<void> Manager::forget(Box& box) {
    const LifeUse used = TRY(kill_life(mechanisms_, box.record, std::nullopt));
    TRY(overlayfs::discard_upper(mechanisms_.store, box.record.id));
    TRY(meter_.close(box, used));
    TRY(mechanisms_.cgroups.remove(box.record.id));
    return records_.drop_box(box.record.id);
}

namespace {

bool is_wanted(const BoxRecord& box) {
    return box.phase == Phase::kReady && !box.internal;
}

/// A box of the records, and the life it has.
struct Found {
    BoxRecord record;
    std::optional<Life> life;
};

Result<std::vector<Found>> look_at_all(Mechanisms& mechanisms, std::vector<BoxRecord> records) {
    std::vector<Found> found;
    for (BoxRecord& record : records) {
        std::optional<Life> life;
        if (is_wanted(record)) {
            life = TRY_IN("box " + record.id + " may be alive, and that cannot be found out, so nothing is changed",
                          find_life(mechanisms, record));
        }
        found.push_back({std::move(record), std::move(life)});
    }
    return found;
}

}  // namespace

// What does not die, or a disk without room for the record of it, must not keep the others from service.
bool Manager::forget_unwanted(const std::shared_ptr<Box>& box) {
    BoxRecord& record = box->record;
    log_warning("box {}: was being {} when the last daemon ended; removed", record.id,
                record.phase == Phase::kDeleting ? "deleted" : "made");
    const Result<void> gone = forget(*box);
    if (gone.ok()) return true;
    log_warning("box {}: {}; tried again behind", record.id, gone.error().message);
    record.phase = Phase::kDeleting;
    leaving_[record.id] = box;
    finish_behind(box, std::make_shared<Removal>(executor_));
    return false;
}

Result<void> Manager::take_over(const std::shared_ptr<Box>& box, std::optional<Life> life) {
    BoxRecord& record = box->record;
    enlist(box);
    if (record.expires_at != 0) {
        box->expires_at = Moment::clock::now() + std::chrono::seconds(record.expires_at - unix_now());
    }
    if (life) {
        TRY_IN("box " + record.id, adopt_life(*life));
        TRY_IN("box " + record.id, listen_to(box, *life));
        const Size* size = find_size(record.size);
        if (size == nullptr || box->sleep()) return {};
        box->memory = limits_.note(record.customer, Resource::kMemory, static_cast<int64_t>(size->memory_bytes));
        return {};
    }
    log_info("box {}: its init is gone; it is paused with its files", record.id);
    if (record.init_pid != 0) events_.publish(EventType::kBoxStopped, record, "its init ended while no hutchd ran");
    const Result<void> ended = bury_now(*box);
    if (!ended.ok()) {
        log_error("box {}: {}", record.id, ended.error().message);
        box->failure = ended.error();
    }
    return {};
}

// Two daemons had no common list of ids, once: what lives beside another's box keeps its ids while it lives.
void Manager::claim_ids(const Box& box) {
    const auto other = mechanisms_.uid_slots.reserve(box.record.uid_slot);
    if (!other.ok()) return log_warning("box {}: {}", box.record.id, other.error().message);
    if (other.value().empty()) return;
    log_warning("box {}: the hutchd called {} has a box of the same user ids; this one gets others at its next start",
                box.record.id, other.value());
}

Result<void> Manager::adopt() {
    std::set<std::string> known_boxes;
    std::set<std::string> known_layers;
    std::vector<netns::Ipv4> addresses;
    const auto know = [&known_layers](const std::vector<std::string>& layers) {
        known_layers.insert(layers.begin(), layers.end());
    };
    for (const ImageRecord& image : TRY(records_.images())) know(image.layers);
    for (const SnapshotRecord& snapshot : TRY(records_.snapshots())) know(snapshot.layers);
    for (auto& [found, life] : TRY(look_at_all(mechanisms_, TRY(records_.boxes())))) {
        const auto box = std::make_shared<Box>(executor_, std::move(found), listener_);
        const BoxRecord& record = box->record;
        const bool wanted = is_wanted(record);
        if (!wanted && forget_unwanted(box)) continue;
        known_boxes.insert(record.id);
        know(record.layers);
        box->place = limits_.note(record.customer, Resource::kBoxes);
        claim_ids(*box);
        if (record.change != FilesChange::kNone) known_layers.insert(record.change_layer);
        if (!wanted) {
            know(record.mounted);
            continue;
        }
        const Result<void> mended = mend_files(*box, life);
        if (!mended.ok()) log_error("box {}: {}; its next start tries again", record.id, mended.error().message);
        know(record.layers);
        if (life) know(record.mounted);
        if (life) addresses.push_back(life->address);
        if (life) mend_firewall(mechanisms_, *life, record);
        TRY(take_over(box, std::move(life)));
    }
    TRY(mechanisms_.uid_slots.drop_leftovers());
    TRY(mechanisms_.policies->keep_only(addresses));
    TRY(sweep(mechanisms_, known_boxes, known_layers, addresses));
    mechanisms_.spares = TRY(overlayfs::Spares::open(mechanisms_.store, mechanisms_.config.pool));
    mechanisms_.slots = TRY(netns::Pool::open(mechanisms_.network, addresses, mechanisms_.config.pool));
    const size_t most = std::min<size_t>(mechanisms_.config.pool, mechanisms_.network.range.size() / 16);
    spawn_lasting(executor_, "making boxes ahead", [this, most] { return stock_.keep(most); });
    for (const auto& [id, box] : boxes_) {
        watch(*box);
        if (box->record.keep_alive && !box->alive()) spawn(executor_, "starting box " + id, start_kept(box));
    }
    log_info("{} boxes, {} of them alive", boxes_.size(), addresses.size());
    return {};
}

}  // namespace hutch::daemon
