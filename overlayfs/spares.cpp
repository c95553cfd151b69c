#include "overlayfs/spares.h"

#include <stdio.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <system_error>

#include "base/ids.h"
#include "base/priority.h"
#include "overlayfs/inode_ranges.h"
#include "overlayfs/subvolume.h"

namespace hutch::overlayfs {

Result<std::unique_ptr<Spares>> Spares::open(const Store& store, size_t ready) {
    if (!has_templates(store.root())) return std::unique_ptr<Spares>();
    std::unique_ptr<Spares> spares(new Spares(store, ready));
    try {
        spares->filler_ = std::jthread([raw = spares.get()](const std::stop_token& stop) { raw->fill(stop); });
    } catch (const std::system_error& failure) {
        return errno_error("starting the thread that makes uppers ahead", failure.code().value());
    }
    return spares;
}

Spares::~Spares() {
    if (filler_.joinable()) {
        filler_.request_stop();
        filler_.join();
    }
    for (const Spare& spare : spares_) (void)move_to_trash(store_.spares(), spare.name, store_.trash());
}

// Those that are made at the same time share one commit.
std::vector<Spares::Spare> Spares::make(size_t count) {
    std::vector<Spare> spares;
    for (size_t i = 0; i < count; ++i) {
        spares.push_back({random_id(), next_range_});
        next_range_ = next_range_ % kInodeRanges + 1;
    }
    std::vector<std::jthread> makers;
    for (Spare& spare : spares) {
        try {
            makers.emplace_back([this, &spare] {
                if (!copy_template(store_, spare.range, store_.spares(), spare.name).ok()) spare.name.clear();
            });
        } catch (const std::system_error&) {  // no thread to be had
            spare.name.clear();
        }
    }
    makers.clear();
    std::erase_if(spares, [](const Spare& spare) { return spare.name.empty(); });
    return spares;
}

void Spares::fill(const std::stop_token& stop) {
    (void)set_priority(kUsualPriority);  // whoever creates a box comes before
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return spares_.size() <= target_ / 2 && target_ != 0 && !failing_; })) {
        if (stop.stop_requested()) return;
        const size_t missing = target_ - spares_.size();
        lock.unlock();
        auto made = make(missing);
        lock.lock();
        failing_ = made.size() < missing;  // whoever creates a box next meets the same failure, and reports it
        std::move(made.begin(), made.end(), std::back_inserter(spares_));
    }
}

bool Spares::take(const std::string& box_id, const std::vector<std::string>& layers) {
    const std::set<uint64_t> used = ranges_of(store_, layers);
    std::unique_lock lock(mutex_);
    failing_ = false;
    const auto fit = std::find_if(spares_.begin(), spares_.end(),
                                  [&used](const Spare& spare) { return !used.contains(spare.range); });
    if (fit == spares_.end()) {
        changed_.notify_one();
        return false;
    }
    const std::string name = fit->name;
    spares_.erase(fit);
    changed_.notify_one();
    lock.unlock();
    if (renameat2(store_.spares(), name.c_str(), store_.uppers(), box_id.c_str(), RENAME_NOREPLACE) == 0) return true;
    (void)move_to_trash(store_.spares(), name, store_.trash());
    return false;
}

size_t Spares::ready() const {
    const std::lock_guard lock(mutex_);
    return spares_.size();
}

}  // namespace hutch::overlayfs
