#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// Uppers' directories made ahead of need, in spares/, where recover() sweeps what a crash leaves. On btrfs each is a
/// snapshot, for which the kernel commits the whole file system (create_snapshot() in fs/btrfs/ioctl.c): milliseconds
/// that a create need not wait for. They are made in batches, which share one commit. Thread-safe.
class Spares {
  public:
    /// Begins to make `ready` of them, and again when half of them are taken, on a thread of its own; after recover().
    /// Nothing where an upper is a mere directory (has_templates()). `store` outlives it.
    static Result<std::unique_ptr<Spares>> open(const Store& store, size_t ready);
    /// Ends the thread. What was not taken goes to trash.
    ~Spares();
    Spares(const Spares&) = delete;
    Spares& operator=(const Spares&) = delete;

    /// Makes one uppers/`box_id`, by rename: one whose range none of `layers` is in (inode_ranges.h). False if there is
    /// none ready, or it cannot be had: who then makes one meets what is wrong, and reports it.
    bool take(const std::string& box_id, const std::vector<std::string>& layers);
    [[nodiscard]] size_t ready() const;

  private:
    struct Spare {
        std::string name;  ///< in spares/
        uint64_t range;
    };
    Spares(const Store& store, size_t target) : store_(store), target_(target) {}
    void fill(const std::stop_token& stop);
    std::vector<Spare> make(size_t count);

    const Store& store_;
    const size_t target_;
    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Spare> spares_;
    uint64_t next_range_ = 1;  ///< of the filler alone
    bool failing_ = false;  ///< the last one could not be made; the next try waits for a sign of life, not for a clock
    std::jthread filler_;   ///< last, so that it ends before what it uses
};

}  // namespace hutch::overlayfs
