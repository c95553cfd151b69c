#pragma once

#include <cstdint>

namespace hutch::runtime {

/// Whether programs in a box may make namespaces of their own: sandboxes and containers within it.
enum class Nesting : uint8_t { kRefused, kAllowed };

/// How many namespaces of a kind the programs of one box may have, all its users together.
struct NamespaceLimit {
    const char* file;  ///< of namespaces(7), in the namespace that the limit holds for
    const char* most;
};
inline constexpr NamespaceLimit kNamespaceLimits[] = {
    {"/proc/sys/user/max_user_namespaces", "1024"},
    {"/proc/sys/user/max_mnt_namespaces", "1024"},
    {"/proc/sys/user/max_pid_namespaces", "1024"},
    {"/proc/sys/user/max_uts_namespaces", "1024"},
    {"/proc/sys/user/max_ipc_namespaces", "1024"},
    {"/proc/sys/user/max_cgroup_namespaces", "8192"},  // each command has one, besides those of its making
    {"/proc/sys/user/max_net_namespaces", "256"},      // each has a stack of its own, and is taken down by one kernel
                                                       // thread
    {"/proc/sys/user/max_time_namespaces", "0"},       // seccomp refuses them too
};

}  // namespace hutch::runtime
