#pragma once

namespace hutch::daemon {

/// What the wire calls a box's status. Never stored: it follows from what is there.
enum class Status { kCreating, kIdle, kRunning, kPaused, kError, kDeleted };

struct Situation {
    bool creating = false;
    bool deleting = false;
    bool failed = false;  ///< the last try to bring it to life did not succeed
    bool alive = false;   ///< its init is there
    bool busy = false;    ///< a run is active
};

///     create ----> creating --ready--> idle <--run ends / run starts--> running
///                     |                 |                                  |
///                   fails          init gone (host reboot, kill)      (the same)
///                     v                 v                                  |
///                   (gone)           paused <------------------------------'
///                                       |  work arrives: woken into a fresh init; error while that fails
///     delete, from any state but creating ----> deleted
constexpr Status status_of(const Situation& at) {
    if (at.deleting) return Status::kDeleted;
    if (at.creating) return Status::kCreating;
    if (!at.alive) return at.failed ? Status::kError : Status::kPaused;
    return at.busy ? Status::kRunning : Status::kIdle;
}

constexpr const char* name_of(Status status) {
    switch (status) {
        case Status::kCreating:
            return "creating";
        case Status::kIdle:
            return "idle";
        case Status::kRunning:
            return "running";
        case Status::kPaused:
            return "paused";
        case Status::kError:
            return "error";
        case Status::kDeleted:
            return "deleted";
    }
    return "error";
}

}  // namespace hutch::daemon
