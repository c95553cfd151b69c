#pragma once

// Every file of cgroupfs that we read or write (cgroup-v2.rst; cgroup-v1/memory.rst, pids.rst, sched-bwc.rst).

namespace hutch::cgroups {

// Core files, in every v2 group, controllers or not.
inline constexpr char kControllers[] = "cgroup.controllers";
inline constexpr char kSubtreeControl[] = "cgroup.subtree_control";
inline constexpr char kProcs[] = "cgroup.procs";
inline constexpr char kEvents[] = "cgroup.events";
inline constexpr char kFreeze[] = "cgroup.freeze";
inline constexpr char kKill[] = "cgroup.kill";
inline constexpr char kCpuStat[] = "cpu.stat";

/// The controller of disks.
inline constexpr char kIo[] = "io";

// Controllers on v2.
inline constexpr char kMemoryMax[] = "memory.max";
inline constexpr char kMemorySwapMax[] = "memory.swap.max";
inline constexpr char kMemoryCurrent[] = "memory.current";
inline constexpr char kMemoryPeak[] = "memory.peak";
inline constexpr char kMemoryEvents[] = "memory.events";
inline constexpr char kMemoryReclaim[] = "memory.reclaim";
inline constexpr char kCpuMax[] = "cpu.max";
inline constexpr char kPidsCurrent[] = "pids.current";  // the same on v1
inline constexpr char kPidsMax[] = "pids.max";          // the same on v1

// Controllers on v1.
inline constexpr char kV1Tasks[] = "tasks";
inline constexpr char kV1CloneChildren[] = "cgroup.clone_children";
inline constexpr char kV1MemoryLimit[] = "memory.limit_in_bytes";
inline constexpr char kV1MemorySwapLimit[] = "memory.memsw.limit_in_bytes";
inline constexpr char kV1SocketMemoryLimit[] = "memory.kmem.tcp.limit_in_bytes";
inline constexpr char kV1MemoryUsage[] = "memory.usage_in_bytes";
inline constexpr char kV1MemoryPeak[] = "memory.max_usage_in_bytes";
inline constexpr char kV1MemoryForceEmpty[] = "memory.force_empty";
inline constexpr char kV1OomControl[] = "memory.oom_control";
inline constexpr char kV1CpuQuota[] = "cpu.cfs_quota_us";

// Keys within cgroup.events, cpu.stat, memory.events and memory.oom_control.
inline constexpr char kPopulated[] = "populated";
inline constexpr char kFrozen[] = "frozen";
inline constexpr char kUsageUsec[] = "usage_usec";
inline constexpr char kOomKill[] = "oom_kill";

/// A box's group is "b-" + the box's id, so that what is ours can be told from what is not.
inline constexpr char kGroupPrefix[] = "b-";
/// The group of a customer, with those of its boxes, is "c-" + its name.
inline constexpr char kCustomerPrefix[] = "c-";

}  // namespace hutch::cgroups
