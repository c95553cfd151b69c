#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "netns/addresses.h"
#include "netns/slot.h"

namespace hutch::netns {

/// Slots made ahead of need, and the books on which address is in use. Slots are never reused: what a box did to its
/// network goes with it. Thread-safe.
class Pool {
  public:
    static constexpr size_t kReady = 8;

    /// `in_use`: addresses of boxes that are there already; kInvalid or kConflict when they cannot all be. Begins to
    /// fill itself at once, on a thread of its own.
    static Result<std::unique_ptr<Pool>> open(const Config& config, const std::vector<Ipv4>& in_use,
                                              size_t ready = kReady);
    /// Ends the thread. Slots not taken vanish, behind our back (see Slot).
    ~Pool() = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// A ready slot, or, when there is none, one made now (about 1 ms; any number of callers at a time).
    Result<Slot> take();
    /// The box that had this address is gone. The kernel may still be deleting its network: addresses go round, so
    /// that this one comes last.
    void release(Ipv4 address);
    [[nodiscard]] size_t ready() const;

  private:
    Pool(const Config& config, size_t target);
    void fill(const std::stop_token& stop);

    const Config config_;
    const size_t target_;
    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    Addresses addresses_;
    std::deque<Slot> slots_;
    bool failing_ = false;  ///< the last refill failed; the next one waits for a sign of life, not for a clock
    std::jthread filler_;   ///< last, so that it ends before what it uses
};

}  // namespace hutch::netns
