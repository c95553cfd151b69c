#pragma once

#include "base/result.h"

// The states of a box and what moves it from one to the next: the whole machine, without the machinery. Drawn in
// docs/states.md.

namespace hutch::daemon {

/// What the wire calls a box's status. Never stored: it follows from what is there.
enum class Status { kCreating, kIdle, kRunning, kPaused, kError, kDeleted };

struct Situation {
    bool creating = false;
    bool deleting = false;
    bool failed = false;      ///< the last try to bring it to life did not succeed
    bool alive = false;       ///< its init is there
    bool frozen = false;      ///< and stands still, with all its processes
    bool busy = false;        ///< a run is active
    bool in_use = false;      ///< a request works with it
    bool keep_alive = false;  ///< it was made to be always awake
};

/// What may happen to a box.
enum class Trigger {
    kWork,      ///< a request needs it awake
    kResume,    ///< somebody wants it awake
    kPause,     ///< somebody wants it paused
    kIdle,      ///< nobody has needed it for long enough
    kInitGone,  ///< its init has ended
    kDelete,    ///< somebody wants it gone, or its time is over
};

/// What is then done to it, one action at a time.
enum class Action {
    kNothing,
    kFreeze,
    kThaw,
    kStart,   ///< a fresh init on its files
    kStop,    ///< what is left of its life is taken away; its files stay
    kRemove,  ///< with its files
};

Status status_of(const Situation& at);
const char* name_of(Status status);

/// kConflict or kNotFound, saying why not and what to do, when it is not for the box to do that now.
Result<Action> action_for(Trigger trigger, const Situation& at);

}  // namespace hutch::daemon
