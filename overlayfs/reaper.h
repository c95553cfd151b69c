#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/result.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// Deletes what is in the store's trash/, one tree at a time (a subvolume at once), in a thread of its own. It starts
/// with what an earlier process left. What cannot be deleted stays and is tried again at the next nudge.
class Reaper {
  public:
    /// The store must outlive it.
    explicit Reaper(const Store& store);

    /// There is something new in trash/. Cheap, from any thread.
    void nudge();
    /// Waits until everything that is in trash/ now has been tried; the first failure if some of it stays.
    Result<void> wait_idle();

  private:
    void serve(const std::stop_token& stop);

    const int trash_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    uint64_t wanted_ = 1;  ///< rounds asked for; the first is for what was there before
    uint64_t done_ = 0;
    std::optional<Error> failure_;  ///< of the last round
    std::jthread thread_;           ///< last, so that it is gone before what it uses
};

}  // namespace hutch::overlayfs
