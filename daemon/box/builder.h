#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "cgroups/group.h"
#include "daemon/box/idle.h"
#include "daemon/box/mechanisms.h"
#include "daemon/store/records.h"
#include "netns/slot.h"
#include "runtime/launcher.h"
#include "runtime/link.h"

namespace hutch::daemon {

/// Of a box that is frozen.
struct Sleep {
    Moment since = Moment::clock::now();
    bool reclaiming = false;                  ///< its memory has been asked back
    std::optional<uint64_t> reclaimed_bytes;  ///< and so much was given
};

/// What a living box holds of the kernel. Letting it go leaves the box alone: only kill_life() ends it.
struct Life {
    cgroups::Group group;
    UniqueFd pidfd;   ///< of init
    int64_t pid = 0;  ///< with its start time, for the record
    int64_t start = 0;
    runtime::Link link;  ///< to init
    UniqueFd root;       ///< O_PATH, the box's root as seen from inside
    netns::Ipv4 address;
    std::optional<Sleep> sleep;  ///< all its processes stand still
    Moment since = Moment::clock::now();
};

/// What one life of a box has used so far, by the kernel's count.
struct LifeUse {
    Counters counters;
    int64_t memory_peak_bytes = 0;
    int64_t memory_bytes = 0;  ///< that it holds now
};

/// Time each step of a create or a start took, in nanoseconds. `record` and `upper` are of a create only.
struct BuildTimes {
    int64_t record = 0, upper = 0, user_namespace = 0, slot = 0, mount = 0, group = 0, spawn = 0, ready = 0;
};

enum class Upper { kFresh, kExisting };

/// A life as far as one can be made for who is not known yet: nothing has run in it but init, which waits for its name.
/// Letting it go leaves it there: only drop_prepared() ends it.
struct Prepared {
    cgroups::Group group;
    runtime::Spawned init;
    netns::Slot slot;
    Upper upper;
};

/// Of the box it takes id, user ids, customer, size, layers, and whether it may nest; the upper it makes or takes over.
/// Some two milliseconds, on btrfs more where no upper is ready: for a worker thread, as the next three. On failure
/// everything it made is undone.
Result<Prepared> prepare_life(Mechanisms& mechanisms, const BoxRecord& box, Upper upper, BuildTimes& times);
/// Gives it the name, the network policy and the disk of the box, which may become as large as its size says and not
/// beyond `most_disk` bytes. Some tenths of a millisecond. On failure nothing of it is left.
Result<Life> finish_life(Mechanisms& mechanisms, const BoxRecord& box, Prepared prepared, uint64_t most_disk,
                         BuildTimes& times);
/// Ends it, with all that was made for it.
void drop_prepared(Mechanisms& mechanisms, const BoxRecord& box, Prepared prepared);

/// The first two in one.
Result<Life> build_life(Mechanisms& mechanisms, const BoxRecord& box, Upper upper, uint64_t most_disk,
                        BuildTimes& times);

/// Finds the living init that `box` tells of; nothing if it has ended, and an error if that cannot be known (no
/// descriptor, memory or permission to look with). Changes nothing.
Result<std::optional<Life>> find_life(Mechanisms& mechanisms, const BoxRecord& box);
/// Takes over a life that was found. Whether it is frozen is the kernel's to say: a freeze that the last daemon had
/// only begun is taken back.
Result<void> adopt_life(Life& life);

/// Puts a policy into both firewalls of a box, the host's and the one in its network namespace (an fd of it, or a pidfd
/// of a process in it). On failure the old one holds. About 3 ms: for a worker thread.
Result<void> set_policy(const Mechanisms& mechanisms, int netns, netns::Ipv4 address, const netns::Policy& policy);

/// Reads what the life with this group and address has used. Its traffic is told only as long as a process of it is
/// there, since the link goes with the last.
Result<LifeUse> use_of(const Mechanisms& mechanisms, const cgroups::Group& group, netns::Ipv4 address);

/// Kills everything in the box, and answers what it had used when the last process was gone; its upper stays, and
/// its groups with the kernel's count of all that. A box that is half there, or not at all, is fine. ETIMEDOUT when
/// something in it does not die in time: to be tried again. Takes what the caller holds of the life, if it does, and
/// lets go of it.
Result<LifeUse> kill_life(Mechanisms& mechanisms, const BoxRecord& box, std::optional<Life> life);

/// Field 22 of /proc/PID/stat: with it a pid names one process for good (proc(5)).
Result<int64_t> start_time_of(int64_t pid);

}  // namespace hutch::daemon
