#pragma once

#include <optional>
#include <string>

#include "daemon/run/command.h"
#include "daemon/store/records.h"
#include "overlayfs/store.h"

namespace hutch::daemon {

/// Who `who` is in the tree that these layers show, by its own /etc/passwd and /etc/group (find_account). "boxuser" is
/// 1000 where it does not know that name.
Result<User> user_in(const overlayfs::Store& store, const std::vector<std::string>& layers, const std::string& who);

/// A layer for on top of the image's, with what a box mounts on or starts in: /proc, /dev, /sys, /etc and the work
/// directory; nothing where they are there. kInvalid where one cannot be, or where the image's user is nobody there. On
/// a worker thread.
Result<std::optional<std::string>> complete_root(const overlayfs::Store& store, const ImageRecord& image);

}  // namespace hutch::daemon
