#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace hutch::overlayfs {

// What only btrfs has: directories that are trees of its own, copied and deleted in constant time. A rename does not
// cross from one into another (EXDEV), but takes a whole one anywhere.

/// Whether the open directory lies on btrfs.
bool on_btrfs(int dir);
/// Whether it is the root of a subvolume.
bool is_subvolume(int dir);
/// Makes the empty subvolume `dir`/`name` (0755, root). EEXIST if there is something of that name.
Result<void> make_subvolume(int dir, const std::string& name);
/// Makes `dir`/`name` what the subvolume `source` (a descriptor) is at this moment, with what has been written to it
/// and is not on disk yet.
Result<void> snapshot_subvolume(int source, int dir, const std::string& name);
/// Deletes the subvolume `dir`/`name` with all in it; its space comes back behind. ENOTEMPTY if it has others in it.
Result<void> destroy_subvolume(int dir, const std::string& name);

/// The id of the subvolume that an open directory is the root of.
Result<uint64_t> subvolume_id(int dir);

/// An item of one of btrfs' trees; `data` as on disk (<linux/btrfs_tree.h>).
struct TreeItem {
    uint64_t offset = 0;  ///< the third part of its key
    std::string data;
};
/// Of the items of `object` and `type` in a tree that have an offset of `first` to `last`, the one with the highest; of
/// the first few KiB of them, so ask for few. Nothing when there is none, or no such tree. `dir` is any directory on
/// the file system. As of its last commit.
Result<std::optional<TreeItem>> last_item(int dir, uint64_t tree, uint64_t object, uint32_t type, uint64_t first,
                                          uint64_t last);

}  // namespace hutch::overlayfs
