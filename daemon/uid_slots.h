#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "base/result.h"

namespace hutch::daemon {

/// Hands out ranges of 65,536 host ids, one box each, never two at once. They lie in the part systemd sets aside for
/// containers (UIDS-GIDS, 524288..1879048191), above what distributions give to /etc/subuid.
class UidSlots {
  public:
    static constexpr int64_t kCount = 20000;
    static constexpr uid_t kFirst = 0x20000000;
    static uid_t base_of(int64_t slot) { return kFirst + static_cast<uid_t>(slot) * 65536; }

    /// The next free one after the last given, so that a range rests before it is used again.
    Result<int64_t> take() {
        if (used_.size() >= static_cast<size_t>(kCount)) {
            return Error{ErrorKind::kLimit, 0, "every range of user ids is in use; delete boxes first"};
        }
        do {
            next_ = (next_ + 1) % kCount;
        } while (used_.contains(next_));
        used_.insert(next_);
        return next_;
    }
    void reserve(int64_t slot) { used_.insert(slot); }
    void release(int64_t slot) { used_.erase(slot); }

  private:
    std::set<int64_t> used_;
    int64_t next_ = -1;
};

}  // namespace hutch::daemon
