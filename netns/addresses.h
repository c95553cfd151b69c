#pragma once

#include <deque>
#include <vector>

#include "netns/address.h"

namespace hutch::netns {

/// Hands out the addresses of a range (without its network, gateway and broadcast address), each to one owner, and
/// reuses a freed one as late as possible: what is still on its way to a box that is gone must not meet its successor.
/// Pure bookkeeping; not thread-safe.
class Addresses {
  public:
    /// `start` (any number) is where the walk through the range begins. A random one keeps a restarted daemon from
    /// giving out first what its predecessor freed last.
    Addresses(const Prefix& range, uint32_t start);

    /// kLimit when every address is in use.
    Result<Ipv4> take();
    /// Gives an address back. One that is not in use is left alone.
    void release(Ipv4 address);
    /// Marks an address as in use that this object did not hand out. kInvalid when it is no box's, kConflict when it
    /// is in use already.
    Result<void> reserve(Ipv4 address);

  private:
    [[nodiscard]] bool assignable(Ipv4 address) const;
    [[nodiscard]] uint32_t index(Ipv4 address) const { return address.value - first_; }

    uint32_t first_;
    uint32_t count_;
    uint32_t start_;
    uint32_t walked_ = 0;         ///< how many indices the walk has passed, beginning with `start_`
    std::vector<bool> in_use_;    ///< by index
    std::vector<bool> seen_;      ///< was in use at some time: the walk leaves it to `freed_`
    std::deque<uint32_t> freed_;  ///< indices, the longest free first
};

}  // namespace hutch::netns
