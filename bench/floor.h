#pragma once

#include <sys/types.h>

#include <string>

namespace hutch::bench {

/// The least a kernel can be asked for a box, on this host and in this run: one clone with all namespaces (user, mount,
/// pid, ipc, uts, cgroup, network), an overlay over `rootfs`, a fresh /proc, pivot_root, exec of /bin/true, exit.
/// No policy, no limits, no network but an empty namespace, no daemon.
void make_bare_container(const std::string& rootfs, const std::string& scratch);

/// posix_spawn of `program` with its output in a pipe, read to the end, and waited for: what a command costs without a
/// box around it.
void spawn_and_read(const std::string& program);

/// A control group of the bench's own with one sleeping process in it, as small as a box that idles.
class FrozenGroup {
  public:
    FrozenGroup();
    ~FrozenGroup();
    FrozenGroup(const FrozenGroup&) = delete;
    FrozenGroup& operator=(const FrozenGroup&) = delete;
    /// Writes cgroup.freeze, reads cgroup.events until it stands, writes cgroup.freeze.
    void freeze_and_thaw();

  private:
    std::string path_;
    pid_t pid_ = -1;
};

}  // namespace hutch::bench
