// What all boxes of a customer have on disk together, held to its limit where the file system counts that: each box may
// grow by what its customer has left, and that is looked at again and again while any of them is awake.

#include <algorithm>
#include <limits>

#include "daemon/box/manager.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kLookEvery{10};

}  // namespace

Task<> Manager::look_at_disk(std::shared_ptr<Box> box) {
    std::vector<std::shared_ptr<Box>> boxes(1, box);
    if (overlayfs::quota_of_uppers(mechanisms_.store.root()) != overlayfs::Quota::kNone) {
        for (const auto& [id, other] : boxes_) {
            if (other != box && other->record.customer == box->record.customer) boxes.push_back(other);
        }
    }
    co_await meter_.look(std::move(boxes));
}

Task<> Manager::count_disk(std::shared_ptr<Box> box) {
    if (overlayfs::quota_of_uppers(mechanisms_.store.root()) == overlayfs::Quota::kNone) co_return;
    co_await meter_.look(std::vector<std::shared_ptr<Box>>(1, box));
}

// What its customer has left beside what the box has written already: else one that writes and is snapshotted in turns
// would have the whole of its size anew each time.
uint64_t Manager::most_disk_of(const Box& box) const {
    constexpr int64_t kLeast = 1 << 20;  // its init writes a few files
    const std::string& customer = box.record.customer;
    const auto limit = limits_.limit(customer, Resource::kDisk);
    if (!limit) return std::numeric_limits<int64_t>::max();
    const int64_t left = *limit - limits_.used(customer, Resource::kDisk) + box.upper_bytes;
    return static_cast<uint64_t>(std::max(left, box.upper_bytes + kLeast));
}

// One whose limit cannot be set is being deleted, or starts anew, and is given one then.
Task<> Manager::hold_to_disk(std::vector<std::shared_ptr<Box>> boxes) {
    co_await meter_.look(boxes);
    for (const auto& box : boxes) {
        const Size* size = find_size(box->record.size);
        if (box->changing || size == nullptr) continue;
        const overlayfs::DiskLimit limit{.bytes = std::min(size->disk_bytes, most_disk_of(*box)),
                                         .inodes = size->disk_inodes};
        if (limit.bytes == box->disk_limit) continue;
        const std::string id = box->record.id;
        const auto set = co_await workers_.run([&] { return overlayfs::limit_upper(mechanisms_.store, id, limit); });
        if (set.ok()) box->disk_limit = limit.bytes;
    }
}

Task<> Manager::watch_disk() {
    if (overlayfs::quota_of_uppers(mechanisms_.store.root()) == overlayfs::Quota::kNone) co_return;
    asio::steady_timer timer(executor_);
    for (;;) {
        std::map<std::string, std::vector<std::shared_ptr<Box>>> limited;  // by customer: those that are awake
        for (const auto& [id, box] : boxes_) {
            const std::string& customer = box->record.customer;
            if (box->memory && limits_.limit(customer, Resource::kDisk)) limited[customer].push_back(box);
        }
        for (auto& [customer, boxes] : limited) co_await hold_to_disk(std::move(boxes));
        if (limited.empty()) co_await awake_.wait();
        timer.expires_after(kLookEvery);
        const auto [cancelled] = co_await timer.async_wait(kAwait);
        if (cancelled) co_return;
    }
}

}  // namespace hutch::daemon
