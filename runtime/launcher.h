#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/link.h"
#include "runtime/nesting.h"
#include "runtime/seccomp.h"

namespace hutch::runtime {

/// Everything a box's init is made of, as descriptors the caller made and keeps.
struct SpawnPlan {
    int group = -1;              ///< the box's cgroup directory: root of its cgroup namespace
    int leaf = -1;               ///< fresh cgroup directory below it, for init itself
    std::span<const int> tasks;  ///< "tasks" files of v1 hierarchies, open for writing
    int netns = -1;
    int userns = -1;
    int root = -1;   ///< detached mount of the box's root file system
    int sysfs = -1;  ///< detached read-only sysfs made in `netns`, or -1 for none
    int unified_view = -1, memory_view = -1, cpu_view = -1;  ///< the same of its group: see View
    int cpuset_view = -1, cpuacct_view = -1;
    std::string hostname;       ///< unless init is told another by Link::name()
    std::string address;        ///< dotted IPv4
    std::string nameserver;     ///< dotted IPv4
    uint64_t shm_bytes = 0;     ///< limit of /dev/shm
    uint64_t memory_bytes = 0;  ///< these the box is told that its machine has
    uint32_t cpus = 0;
    uint32_t pids = 0;
    Nesting nesting = Nesting::kRefused;
};

struct Spawned {
    UniqueFd pidfd;
    pid_t pid = 0;  ///< for messages and records only
    Link link;      ///< init is to be named; its first message, kReady or kFailed, is still to come
};

/// Starts boxes' inits. Made once; spawn() may be called by many threads at a time.
class Launcher {
  public:
    static Result<Launcher> prepare();
    [[nodiscard]] Result<Spawned> spawn(const SpawnPlan& plan) const;

  private:
    UniqueFd init_;
    UniqueFd cradle_;
    Filters filters_;
    Filters nesting_filters_;
};

/// Reaps an init that has ended, if it is our child (one started by an earlier daemon is not).
void reap(int pidfd);
/// Whether its process has ended: a pidfd is readable from then on (pidfd_open(2)). Does not wait.
bool has_ended(int pidfd);

}  // namespace hutch::runtime
