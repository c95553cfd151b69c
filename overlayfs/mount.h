#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// The root filesystem of a box: its upper (make_upper) over `layers`, topmost first, as a detached mount. On-disk ids
/// 0..65535 appear as base..base+65535, as the user namespace `userns` maps them; other ids appear as nobody's and
/// cannot be made. nodev; set-uid is honoured. Nothing else stays mounted. The mount goes when its last user does, who
/// then waits for a sync of the whole filesystem below (ovl_sync_fs()): do not close it on a thread that others wait
/// for.
///
/// The caller holds CAP_SYS_ADMIN in a mount namespace of its own, from which nothing propagates (slave or private):
/// for a moment the store is attached in it, over the box's own directory. Any thread, several at once; not twice at
/// once for one box, since two overlays of one upper break each other.
Result<UniqueFd> mount_box(const Store& store, const std::vector<std::string>& layers, const std::string& box_id,
                           int userns, uid_t base);

}  // namespace hutch::overlayfs
