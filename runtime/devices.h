#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/nesting.h"

namespace hutch::runtime {

/// A detached, read-only mount of what a box has as /dev: the devices that reach no hardware, the usual links, places
/// for what init mounts there. Each box needs one of its own: watches (inotify(7)) and locks (flock(2)) belong to an
/// inode, so through a shared one boxes would hear of each other, and talk. Made here and not by init, since no device
/// can be made or used on a file system that a user namespace mounted. Needs root on the host.
Result<UniqueFd> make_devices(Nesting nesting);

}  // namespace hutch::runtime
