#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace hutch::overlayfs {

// A btrfs of our own in a file, as the file system of a store: on hosts whose own can neither hold a box to a quota nor
// copy it without copying its blocks.

/// Makes the file `path` of so many bytes, all set aside now, with an empty file system, for which it is mounted at the
/// directory `dir` for a moment: in the mount namespace of the caller, from which nothing propagates. Runs mkfs.btrfs.
/// Durable when it returns; after an error or a crash there is no such file. kInvalid when it is too small or the disk
/// has not the room.
Result<void> make_store_file(const std::string& path, uint64_t bytes, const std::string& dir);

/// Mounts it at the directory `dir`, with quotas on. What holds the file system of an earlier mount (boxes of a daemon
/// that is gone) holds this one.
Result<void> mount_store_file(const std::string& path, const std::string& dir);

/// Makes it larger while it is mounted at `dir`, and finishes what a crash has left of an earlier try. False if it was
/// that large already; it is never made smaller.
Result<bool> grow_store_file(const std::string& path, uint64_t bytes, const std::string& dir);

}  // namespace hutch::overlayfs
