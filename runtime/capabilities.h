#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch::runtime {

/// One of capabilities(7), by its name there in small letters, and what it is kept for.
struct Capability {
    const char* name;
    const char* reason;
};

/// What hutchd keeps of root's power, over the host. systemd/hutchd.service.in has the same list.
std::span<const Capability> daemon_capabilities();
/// What root of a box has over its own user namespace, and its commands can get back by no exec.
std::span<const Capability> box_capabilities();

/// A bit for each, as in CapBnd of /proc/PID/status. An error for a name that libcap does not know.
Result<uint64_t> mask_of(std::span<const Capability> capabilities);

/// Cuts the bounding, permitted, effective, inheritable and ambient sets of the calling thread down to
/// daemon_capabilities(), and looks whether that came true. Threads that are there already keep theirs, so call it
/// before there are any. What the process lacks anyhow stays lacking. A user namespace that is joined or made later
/// gives its own full sets, whatever these are (user_namespaces(7)).
Result<void> keep_daemon_capabilities();

/// Those of daemon_capabilities() that this process does not have.
Result<std::vector<Capability>> missing_capabilities();

/// Makes the process one whose memory never becomes a core file, and which nobody of its own user can trace:
/// PR_SET_DUMPABLE 0, and a soft RLIMIT_CORE of 0.
Result<void> keep_memory_secret();

}  // namespace hutch::runtime
