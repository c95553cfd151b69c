#pragma once

// Mounts below a box's root, which may be hostile: no target is reached through a link, and what is mounted is made
// first and attached by descriptor.

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "runtime/fresh_mount.h"

namespace hutch::runtime::init {

constexpr unsigned kNoEverything = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

inline int open_inside(int root, const char* path, int flags) {
    open_how how{};
    how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return sys_openat2(root, path, how);
}

inline bool attach(int mount, int target) {
    return sys_move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

/// Attaches a detached mount on a directory below `root`, making the directory where the image has none.
inline bool attach_inside(int mount, int root, const char* path) {
    int target = open_inside(root, path, O_PATH | O_DIRECTORY);
    if (target < 0 && errno == ENOENT && mkdirat(root, path, 0755) == 0) {
        target = open_inside(root, path, O_PATH | O_DIRECTORY);
    }
    if (target < 0) return false;
    const bool done = attach(mount, target);
    close(target);
    return done;
}

}  // namespace hutch::runtime::init
