#include "netns/pool.h"

#include <random>

namespace hutch::netns {

Pool::Pool(const Config& config, size_t target)
    : config_(config), target_(target), addresses_(config.range, std::random_device()()) {}

Result<std::unique_ptr<Pool>> Pool::open(const Config& config, const std::vector<Ipv4>& in_use, size_t ready) {
    TRY(check(config));
    std::unique_ptr<Pool> pool(new Pool(config, ready));
    for (const Ipv4 address : in_use) TRY(pool->addresses_.reserve(address));
    try {
        pool->filler_ = std::jthread([raw = pool.get()](const std::stop_token& stop) { raw->fill(stop); });
    } catch (const std::system_error& failure) {
        return errno_error("starting the thread of the network pool", failure.code().value());
    }
    return pool;
}

void Pool::fill(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return slots_.size() < target_ && !failing_; })) {
        if (stop.stop_requested()) return;
        auto address = addresses_.take();
        if (!address.ok()) {
            failing_ = true;
            continue;
        }
        lock.unlock();
        auto slot = make_slot(config_, *address);
        lock.lock();
        if (slot.ok()) {
            slots_.push_back(std::move(*slot));
        } else {
            addresses_.release(*address);
            failing_ = true;  // whoever takes next meets the same failure, and reports it
        }
    }
}

Result<Slot> Pool::take() {
    std::unique_lock lock(mutex_);
    failing_ = false;
    if (!slots_.empty()) {
        Slot slot = std::move(slots_.front());
        slots_.pop_front();
        changed_.notify_one();
        return slot;
    }
    const Ipv4 address = TRY(addresses_.take());
    lock.unlock();
    changed_.notify_one();
    auto slot = make_slot(config_, address);
    if (!slot.ok()) release(address);
    return slot;
}

void Pool::release(Ipv4 address) {
    const std::lock_guard lock(mutex_);
    addresses_.release(address);
    failing_ = false;
    changed_.notify_one();
}

size_t Pool::ready() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
}

}  // namespace hutch::netns
