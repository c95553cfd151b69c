#include "netns/namespace.h"

#include <fcntl.h>
#include <sched.h>

#include "base/file.h"

namespace hutch::netns {

Result<void> enter(int netns) {
    if (setns(netns, CLONE_NEWNET) != 0) return errno_error("entering a network namespace");
    return {};
}

Result<UniqueFd> enter_new() {
    if (unshare(CLONE_NEWNET) != 0) return errno_error("making a network namespace");
    return open_at(AT_FDCWD, "/proc/thread-self/ns/net", O_RDONLY);
}

}  // namespace hutch::netns
