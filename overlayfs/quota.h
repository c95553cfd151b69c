#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace hutch::overlayfs {

/// How a file system bounds what one of its trees may hold.
enum class Quota {
    kNone,     ///< not at all: as it is made, mounted or built
    kProject,  ///< ext4 and xfs, mounted with prjquota: a tree has a project id, which its new files take over
    kQgroup,   ///< btrfs, with quotas on: each subvolume is counted
};

/// The most that a tree may hold; 0 is no limit.
struct DiskLimit {
    uint64_t bytes = 0;
    uint64_t inodes = 0;  ///< btrfs has no such limit: what it keeps of a file counts as bytes
};

/// What a tree holds, by the file system's count; on btrfs as of its last commit, half a minute ago at most.
struct DiskUse {
    uint64_t bytes = 0;
    uint64_t own_bytes = 0;  ///< of them, those that no other tree shares
};

/// What is enforced where the open directory lies.
Quota quota_of(int dir);

/// Has the new, empty directory counted apart from now on, with all that will be made in it. Nothing to do for a
/// subvolume, or where nothing is enforced; again, without effect. A directory that somebody has put into a project of
/// their own stays there, without a limit of ours.
Result<void> begin_count(int dir);

/// Sets the limit of a tree that is counted apart; what is above it already stays. False where it cannot be enforced.
Result<bool> set_limit(int dir, const DiskLimit& limit);

/// Has a btrfs that has lost its counts, as it says itself, count anew, in the background. Nothing to do on any other.
Result<void> recount(int dir);

/// Nothing for a tree that is not counted apart.
Result<std::optional<DiskUse>> counted_use(int dir);

}  // namespace hutch::overlayfs
