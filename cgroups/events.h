#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace hutch::cgroups {

/// Deadlines are points of CLOCK_MONOTONIC (which libstdc++'s steady clock reads).
using Deadline = std::chrono::steady_clock::time_point;
using Millis = std::chrono::milliseconds;

/// Waits until cgroup.events of the v2 group says `key` is `value`; ETIMEDOUT at the deadline, ENODEV or ENOENT once
/// the group is removed. No polling by time: the file raises POLLPRI when a value in it changes (cgroup-v2.rst,
/// "Core Interface Files"). But the kernel raises it at most once in 10 ms for one file (cgroup_file_notify()): a wait
/// that begins right after another change of the same group may come back 10-20 ms late. A value that is there already
/// costs no wait.
Result<void> wait_for_event(int group, const std::string& key, uint64_t value, Deadline deadline);

/// Looks whether the same is so, again and again for 200 microseconds at most: for what is about to be so, and whose
/// event may come 10 ms late. Not yielding: on a busy CPU that gives away a whole time slice.
Result<bool> look_for_event(int group, const std::string& key, uint64_t value);

/// Waits until no living process is in the group or below it. Zombies do not count: a task leaves its groups when it
/// exits, not when it is reaped, and it leaves those of all hierarchies at once (one css_set names them all). A v1
/// group that only holds processes of this v2 group can thus be removed after this. A removed group is empty.
Result<void> wait_until_empty(int group, Deadline deadline);

/// The same as a look at the open cgroup.events of a group, which arms the next POLLPRI of this descriptor.
Result<bool> is_empty(int events);

/// SIGKILL for all processes in the group and below it, at once and proof against fork (cgroup.kill, Linux 5.14);
/// frozen ones too. A removed group has none. What is cloned into a group that was killed may be killed as well.
Result<void> kill_all(int group);

}  // namespace hutch::cgroups
