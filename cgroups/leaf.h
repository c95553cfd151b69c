#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/events.h"

namespace hutch::cgroups {

/// A v2 group below a box's group, for one run or for one life of init; held by its directory fd. It carries no
/// limits (no controller is passed down to it): it tells the CPU time of what is in it, and kills exactly that.
/// Never used twice, since what is cloned into a group that was killed may be killed too. Dropping the object leaves
/// the group as it is: a run outlives the daemon.
class Leaf {
  public:
    /// Makes the leaf `name` in the group. `owner` (a uid, and the gid of the same number) may then clone into it,
    /// provided it owns cgroup.procs of the box's group too: the nearest group above both ends of a move must allow
    /// it (cgroup-v2.rst, "Delegation Containment"). EEXIST for a name in use, kInvalid for a bad one.
    static Result<Leaf> create(int group, const std::string& name, uid_t owner);
    /// A leaf that exists, after a restart.
    static Result<Leaf> open(int group, const std::string& name);

    /// The directory, for CLONE_INTO_CGROUP; owned by this object.
    [[nodiscard]] int fd() const { return dir_.get(); }
    [[nodiscard]] const std::string& name() const { return name_; }

    /// CPU time of all that ever ran in it, in nanoseconds; stays readable after the last process is gone.
    [[nodiscard]] Result<uint64_t> cpu_ns() const;
    /// Its cgroup.events, for is_empty() and for whoever polls it.
    [[nodiscard]] Result<UniqueFd> open_events() const;
    Result<void> kill();
    /// Sends another signal to each process in it, those too that appear meanwhile and are found when it looks again.
    Result<void> signal(int signal);
    /// ETIMEDOUT when something still lives after `timeout`.
    Result<void> wait_empty(Millis timeout);
    /// EBUSY while something lives in it; fine if already removed.
    Result<void> remove();

  private:
    Leaf(UniqueFd dir, std::string name) : dir_(std::move(dir)), name_(std::move(name)) {}

    UniqueFd dir_;
    std::string name_;
};

}  // namespace hutch::cgroups
