#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/leaf.h"
#include "cgroups/limits.h"
#include "cgroups/parents.h"
#include "cgroups/stats.h"

namespace hutch::cgroups {

/// Detached read-only mounts, to be shown to a box: of its group, which each shows as its root,
struct Views {
    UniqueFd unified;      ///< where both of these controllers are,
    UniqueFd memory, cpu;  ///< or else on the v1 hierarchies that have them; both on one: `memory` alone
    /// And of one file that says nothing, on v1 hierarchies where boxes have no groups. JVMs ask mountinfo for both
    /// before they believe in limits.
    UniqueFd cpuset, cpuacct;
};

/// One box's group: a v2 directory, held by fd, and on hybrid hosts a directory of the same name on each v1
/// hierarchy that limits something. On v1 only the group's own processes and what they fork later are limited, so
/// the first process of a box must write "0" into all of open_v1_tasks() before it forks.
///
/// No controller is passed on to the leaves, so processes may be in the group itself as well as in leaves
/// (cgroup-v2.rst, "No Internal Process Constraint"). One fd per box; dropping the object leaves the group as it is.
class Group {
  public:
    /// Makes the group `name` (Customers::place_in) with its limits on all hierarchies, or nothing. `owner` as for
    /// Leaf::create. EEXIST when any hierarchy has it.
    static Result<Group> create(std::shared_ptr<const Parents> parents, const std::string& name, const Limits& limits,
                                uid_t owner);
    /// The group of a box that is there already, after a restart of the daemon.
    static Result<Group> open(std::shared_ptr<const Parents> parents, const std::string& name);

    /// The v2 directory, for CLONE_INTO_CGROUP; owned by this object.
    [[nodiscard]] int fd() const { return dir_.get(); }
    /// The v1 `tasks` files, open for writing; none on a unified host. Opened when asked for and to be closed after
    /// the spawn: kept open they would triple the descriptors of an idle box. A *single-threaded* process that
    /// writes "0" moves itself without the wait for an RCU grace period that moving anything else costs
    /// (cgroup_procs_write_start()). Access was checked when opened: the writer needs no right of its own.
    [[nodiscard]] Result<std::vector<UniqueFd>> open_v1_tasks() const;

    /// See Views. About 10 us for each.
    [[nodiscard]] Result<Views> views() const;

    Result<Leaf> make_leaf(const std::string& name, uid_t owner);
    [[nodiscard]] Result<Leaf> reopen_leaf(const std::string& name) const;

    /// Stops all processes where they are. On ETIMEDOUT, or any other error, all of them run again.
    Result<void> freeze(Millis timeout);
    /// The same for a small group, which stands within microseconds; 200 of them are the most it takes. False: some
    /// still run, and freeze() is to finish it, or thaw() to take it back.
    Result<bool> try_freeze();
    /// On return everything may run; it does not wait until everything has.
    Result<void> thaw();
    /// Processes and threads in it now. Freezing and thawing take some 5 us for each.
    [[nodiscard]] Result<uint64_t> tasks() const;
    /// Whether all processes stand still, as the kernel sees it.
    [[nodiscard]] Result<bool> frozen() const;
    /// See reclaim_memory.
    Result<uint64_t> reclaim();
    /// Kills all processes, frozen ones too. What remains of the group is fit only for removal; see kill_all.
    Result<void> kill();
    /// ETIMEDOUT when something still lives after `timeout`.
    Result<void> wait_empty(Millis timeout);
    [[nodiscard]] Result<Stats> stats() const;
    /// Of stats(), the figures that are asked for most.
    [[nodiscard]] Result<uint64_t> cpu_ns() const;
    [[nodiscard]] Result<uint64_t> oom_kills() const;
    /// Removes leaves and group on all hierarchies; EBUSY, to be tried again, while anything lives in them (call
    /// wait_empty first). What is missing is fine.
    Result<void> remove();

  private:
    Group(std::shared_ptr<const Parents> parents, std::string name, UniqueFd dir)
        : parents_(std::move(parents)), name_(std::move(name)), dir_(std::move(dir)) {}

    std::shared_ptr<const Parents> parents_;
    std::string name_;  // of the directories, below our parents
    UniqueFd dir_;
};

/// Group::remove by the directories' name, for a group that may be there in parts only.
Result<void> remove_everywhere(const Parents& parents, const std::string& name);

}  // namespace hutch::cgroups
