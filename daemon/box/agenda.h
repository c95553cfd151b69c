#pragma once

#include <optional>

#include "daemon/box/idle.h"

namespace hutch::daemon {

/// What of a box depends on time, as it is now.
struct Timetable {
    bool awake = false;  ///< alive and not frozen
    Activity activity;
    SleepSettings settings;
    std::optional<Moment> reclaim_at{};  ///< of a paused one: when its memory is asked back
    std::optional<Moment> expires_at{};  ///< of an ephemeral one
};

/// What its time has come for.
enum class Due { kNothing, kPause, kReclaim, kDelete };

struct Agenda {
    Due due = Due::kNothing;
    std::optional<Moment> again;  ///< when to look at it again; nothing: not before it is woken or paused
};

/// What is due is done by the caller, who looks again a minute later if it should not have worked.
Agenda agenda_of(const Timetable& box, Moment now);

/// The earlier of the two, where there are two.
std::optional<Moment> earlier(std::optional<Moment> one, std::optional<Moment> other);

}  // namespace hutch::daemon
