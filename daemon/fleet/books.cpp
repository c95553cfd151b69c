// Which boxes the directory has of this host.
//
//   made      one transaction takes id and name, before the box is on record here
//   deleted   its rows are removed behind; while etcd is away, by the next comparison
//   compared  now and then: rows of boxes that are not here go, unless they are so young that the box may be yet to
//             come; boxes without a row get one

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/fleet/fleet.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kComparison{30};
constexpr int64_t kYoung = 60;                    // seconds
constexpr std::chrono::seconds kToldPatience{2};  // who deletes a box may want its name for the next

FleetBox fleet_box_of(const BoxRecord& box, const std::string& host) {
    return {.id = box.id, .customer = box.customer, .name = box.name, .host = host, .created_at = box.created_at};
}

}  // namespace

Manager::Registry Fleet::registry() {
    return {.claim = [this](const BoxRecord& box) { return claim(box); },
            .release = [this](const BoxRecord& box) { release(box); },
            .released = [this](std::string id) { return released(std::move(id)); }};
}

Task<Result<void>> Fleet::enter(FleetBox box) {
    const std::string box_key = directory_.keys().box(box.customer, box.id);
    const std::string name_key = directory_.keys().name(box.customer, box.name);
    EtcdTxn txn;
    txn.absent = {box_key};
    txn.puts = {{box_key, text_of(box)}};
    txn.otherwise_reads = {box_key};
    if (!box.name.empty()) {
        txn.absent.push_back(name_key);
        txn.puts.push_back({name_key, box.id});
        txn.otherwise_reads.push_back(name_key);
    }
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    if (outcome.done) co_return Result<void>();
    for (const EtcdRow& row : outcome.found) {
        if (row.key == name_key && row.value != box.id) {
            co_return Error{ErrorKind::kConflict, 0, "name: a box called \"" + box.name + "\" exists; choose another"};
        }
        if (row.key != box_key) continue;
        const auto there = Directory::box_of(row);
        if (there && there->host == box.host) continue;  // ours, of which the answer was lost
        co_return Error{ErrorKind::kConflict, 0,
                        "box " + box.id + " is on host " + (there ? there->host : "?") + " by the fleet's directory"};
    }
    co_return Result<void>();
}

// The name only if it is still this box's.
Task<Result<void>> Fleet::strike(FleetBox box) {
    const std::string box_key = directory_.keys().box(box.customer, box.id);
    EtcdTxn txn;
    txn.removals = {box_key};
    if (!box.name.empty()) {
        const std::string name_key = directory_.keys().name(box.customer, box.name);
        txn.holding = {{name_key, box.id}};
        txn.removals.push_back(name_key);
        txn.otherwise_removals = {box_key};
    }
    CO_TRY(co_await etcd_.commit(std::move(txn)));
    co_return Result<void>();
}

Task<Result<void>> Fleet::claim(BoxRecord box) {
    if (!joined_) {
        const auto joined = co_await join();
        if (!joined.ok()) co_return Error{ErrorKind::kLimit, EBUSY, joined.error().message};
    }
    claimed_.insert(box.id);
    const std::string id = box.id;
    FleetBox row = fleet_box_of(box, self_);
    auto entered = co_await enter(std::move(row));
    // It is on record, or released, by the time of the next comparison but one.
    if (!entered.ok()) claimed_.erase(id);
    co_return entered;
}

void Fleet::release(const BoxRecord& box) {
    claimed_.erase(box.id);
    auto& gone = leaving_[box.id];
    if (gone) return;
    gone = std::make_shared<Event>(boxes_.executor());
    spawn(boxes_.executor(), "telling the fleet that box " + box.id + " is gone",
          strike_released(fleet_box_of(box, self_)));
}

Task<> Fleet::strike_released(FleetBox box) {
    const std::string id = box.id;
    const auto struck = co_await strike(box);
    if (!struck.ok()) {
        log_warning("box {} is gone, and the fleet is told later: {}", id, struck.error().message);
        untold_[id] = std::move(box);
    }
    const auto entry = leaving_.extract(id);
    if (!entry.empty()) entry.mapped()->set();
}

Task<> Fleet::released(std::string id) {
    const auto found = leaving_.find(id);
    if (found == leaving_.end() || !trouble_.empty()) co_return;
    const auto gone = found->second;
    const auto too_long = []() -> Task<> {
        asio::steady_timer limit(co_await asio::this_coro::executor, kToldPatience);
        co_await limit.async_wait(kAwait);
    };
    co_await ends_before(gone->wait(), too_long());
}

Task<> Fleet::keep_books() {
    for (;;) {
        const bool knows = read_ && joined_ && trouble_.empty();
        if (knows) co_await compare_boxes();
        const auto soon = [this]() -> Task<> {
            asio::steady_timer timer(boxes_.executor(), kComparison);
            co_await timer.async_wait(kAwait);
        };
        if (knows) {
            co_await soon();
        } else {
            co_await ends_before(hosts_change(), soon());
        }
    }
}

Task<> Fleet::compare_boxes() {
    std::vector<FleetBox> unknown;
    for (auto& [id, box] : std::exchange(untold_, {})) {
        if (!leaving_.contains(id)) unknown.push_back(std::move(box));
    }
    for (const auto& entry : directory_.boxes()) {
        const FleetBox& box = entry.second;
        const auto is_it = [&box](const FleetBox& one) { return one.id == box.id; };
        if (box.host != self_ || claimed_.contains(box.id) || leaving_.contains(box.id)) continue;
        if (boxes_.find_of_any(box.id).ok() || box.created_at > unix_now() - kYoung) continue;
        if (std::any_of(unknown.begin(), unknown.end(), is_it)) continue;
        unknown.push_back(box);
    }
    for (FleetBox& box : unknown) {
        log_info("box {}: its row leaves the fleet's directory, since it is not here", box.id);
        const auto struck = co_await strike(box);
        if (!struck.ok()) untold_[box.id] = std::move(box);
        if (!struck.ok()) co_return log_warning("{}", struck.error().message);
    }
    for (const auto& box : boxes_.list()) {
        const BoxRecord& record = box->record;
        claimed_.erase(record.id);                          // it is on record
        if (!boxes_.find_of_any(record.id).ok()) continue;  // deleted while others were entered
        const auto row = directory_.boxes().find(record.id);
        const bool known = row != directory_.boxes().end();
        if (known && row->second.host == self_) continue;
        FleetBox entry = fleet_box_of(record, self_);
        auto entered = co_await enter(entry);
        if (!entered.ok() && entered.error().kind == ErrorKind::kConflict && !known) {
            entry.name.clear();  // another's by now; by its id it is found
            entered = co_await enter(std::move(entry));
            log_warning("box {}: another box of the fleet has its name, \"{}\"", record.id, record.name);
        }
        if (!entered.ok()) log_warning("{}", entered.error().message);
        if (!entered.ok() && entered.error().kind != ErrorKind::kConflict) co_return;
    }
}

}  // namespace hutch::daemon
