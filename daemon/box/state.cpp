#include "daemon/box/state.h"

namespace hutch::daemon {
namespace {

Error conflict(const char* message) {
    return {ErrorKind::kConflict, 0, message};
}

// To be awake again: for work, or because somebody asked.
Action waking(const Situation& at) {
    if (!at.alive) return Action::kStart;  // after an error too: its cause may be gone
    return at.frozen ? Action::kThaw : Action::kNothing;
}

Result<Action> pausing(const Situation& at) {
    if (at.keep_alive) return conflict("keep_alive is set, so it is never paused; delete it if it is not needed");
    if (!at.alive && at.failed)
        return conflict("its last start failed, so nothing is there to pause; resume tries again");
    return at.alive && !at.frozen ? Action::kFreeze : Action::kNothing;
}

bool sleepy(const Situation& at) {
    return at.alive && !at.frozen && !at.keep_alive && !at.busy && !at.in_use;
}

}  // namespace

Status status_of(const Situation& at) {
    if (at.deleting) return Status::kDeleted;
    if (at.creating) return Status::kCreating;
    if (!at.alive) return at.failed ? Status::kError : Status::kPaused;
    if (at.frozen) return Status::kPaused;
    return at.busy ? Status::kRunning : Status::kIdle;
}

const char* name_of(Status status) {
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

Result<Action> action_for(Trigger trigger, const Situation& at) {
    const bool asked = trigger == Trigger::kWork || trigger == Trigger::kResume || trigger == Trigger::kPause;
    if (asked && at.deleting) return Error{ErrorKind::kNotFound, 0, "it was deleted"};
    if (asked && at.creating) return conflict("it is still being made; try again when it is ready");
    switch (trigger) {
        case Trigger::kWork:
        case Trigger::kResume:
            return waking(at);
        case Trigger::kPause:
            return pausing(at);
        case Trigger::kIdle:
            return sleepy(at) && !at.deleting && !at.creating ? Action::kFreeze : Action::kNothing;
        case Trigger::kInitGone:
            return at.alive && !at.deleting ? Action::kStop : Action::kNothing;
        case Trigger::kDelete:
            return at.deleting ? Action::kNothing : Action::kRemove;
    }
    return Action::kNothing;
}

}  // namespace hutch::daemon
