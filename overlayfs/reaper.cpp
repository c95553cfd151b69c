#include "overlayfs/reaper.h"

#include <fcntl.h>

#include <string>

#include "base/file.h"
#include "overlayfs/quota.h"
#include "overlayfs/subvolume.h"

namespace hutch::overlayfs {

namespace {

Result<void> remove(int trash, const std::string& name) {
    auto tree = open_at(trash, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!tree.ok()) return remove_tree_at(trash, name);  // a file
    (void)set_limit(tree->get(), {});                    // or its project would stay on record for ever
    if (is_subvolume(tree->get()) && destroy_subvolume(trash, name).ok()) return {};
    return remove_tree_at(trash, name);
}

Result<void> empty(int trash, const std::stop_token& stop) {
    std::optional<Error> failure;
    for (const std::string& name : TRY(names_in(trash))) {
        if (stop.stop_requested()) break;
        auto removed = remove(trash, name);
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
