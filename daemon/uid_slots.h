#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/idmap.h"

namespace hutch::daemon {

/// Hands out ranges of 65,536 host ids, one box each, never two at once. They lie in the part systemd sets aside for
/// containers (UIDS-GIDS, 524288..1879048191), above what distributions give to /etc/subuid. The first half of them,
/// which go first, have 196,608 more above 2^31, which nobody gives to users: archives name owners beyond 65,535, and a
/// box without such an id could not unpack them as root.
///
/// All daemons of a host share the ranges: each claims its own by a link in one directory, named after the range,
/// which leads to the daemon's name. Claims outlive the daemon, as boxes do, but not the host: kept in /run.
class UidSlots {
  public:
    static constexpr int64_t kCount = 20000;
    static constexpr uid_t kFirst = 0x20000000;
    static constexpr const char* kClaims = "/run/hutch-uids";
    static constexpr int64_t kWide = 10000;
    static constexpr uid_t kFirstHigh = 0x80000000;
    /// Of the ids from 65,536 on, or 0 for a slot without.
    static uid_t high_base_of(int64_t slot) {
        return slot < kWide ? kFirstHigh + static_cast<uid_t>(slot) * runtime::kHighIdsPerBox : 0;
    }
    static uid_t base_of(int64_t slot) { return kFirst + static_cast<uid_t>(slot) * 65536; }

    /// `claims`: the directory, made if it is missing; `name`: of this daemon, which no other has at the same time.
    static Result<UidSlots> open(const std::string& claims, std::string name);

    /// The next free one after the last given of the same half, so that a range rests before it is used again.
    Result<int64_t> take();
    /// Claims that of a box which is there. Answers the name of the daemon which has claimed it before, or "".
    Result<std::string> reserve(int64_t slot);
    /// False for one that reserve() found to be another's.
    [[nodiscard]] bool owns(int64_t slot) const { return used_.contains(slot); }
    void release(int64_t slot);
    /// Gives back what an earlier daemon of this name has claimed and no box of ours has.
    Result<void> drop_leftovers() const;

  private:
    UidSlots(UniqueFd directory, std::string claims, std::string name)
        : directory_(std::move(directory)), claims_(std::move(claims)), name_(std::move(name)) {}
    /// The daemon that has it now: this one, unless another was quicker.
    Result<std::string> claim(int64_t slot) const;

    UniqueFd directory_;
    std::string claims_;
    std::string name_;
    std::set<int64_t> used_;
    struct Half {
        int64_t first, count;
        int64_t last = -1;  ///< given, from `first` on
    };
    Half halves_[2] = {{0, kWide}, {kWide, kCount - kWide}};
};

/// The claims in the directory `claims`, by the name of their daemon. ENOENT when there is none.
Result<std::map<std::string, std::set<int64_t>>> claimed_uid_slots(const std::string& claims);

}  // namespace hutch::daemon
