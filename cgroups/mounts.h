#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hutch::cgroups {

/// One mounted cgroup hierarchy.
struct Mount {
    std::string path;  ///< where it is mounted, escapes undone
    bool unified = false;
    bool whole = false;                ///< shows the hierarchy from its root ("/"), not a bind-mounted part
    std::vector<std::string> options;  ///< of the superblock; on v1 the controllers are among them
};

/// The cgroup mounts named by /proc/self/mountinfo (proc(5)), whole ones first. A mount may be hidden by a later one
/// over its path or above it: whoever opens `path` checks what is really there.
std::vector<Mount> parse_mounts(std::string_view mountinfo);

}  // namespace hutch::cgroups
