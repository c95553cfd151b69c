#include "overlayfs/reaper.h"

#include <string>

#include "base/file.h"

namespace hutch::overlayfs {

namespace {

Result<void> empty(int trash, const std::stop_token& stop) {
    std::optional<Error> failure;
    for (const std::string& name : TRY(names_in(trash))) {
        if (stop.stop_requested()) break;
        auto removed = remove_tree_at(trash, name);
        if (!removed.ok() && !failure) failure = std::move(removed).error().in("deleting trash/" + name);
    }
    if (failure) return *std::move(failure);
    return {};
}

}  // namespace

Reaper::Reaper(const Store& store)
    : trash_(store.trash()), thread_([this](const std::stop_token& stop) { serve(stop); }) {}

void Reaper::nudge() {
    const std::lock_guard lock(mutex_);
    ++wanted_;
    changed_.notify_all();
}

Result<void> Reaper::wait_idle() {
    std::unique_lock lock(mutex_);
    const uint64_t round = ++wanted_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return done_ >= round; });
    if (failure_) return *failure_;
    return {};
}

void Reaper::serve(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return wanted_ > done_; }) && !stop.stop_requested()) {
        const uint64_t round = wanted_;
        lock.unlock();
        auto emptied = empty(trash_, stop);
        lock.lock();
        failure_ = emptied.ok() ? std::nullopt : std::optional(std::move(emptied).error());
        done_ = round;
        changed_.notify_all();
    }
}

}  // namespace hutch::overlayfs
