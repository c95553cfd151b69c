#pragma once

#include <chrono>
#include <optional>

namespace hutch::daemon {

/// Of CLOCK_MONOTONIC (which libstdc++'s steady clock reads).
using Moment = std::chrono::steady_clock::time_point;

/// What counts when it is asked whether a box is needed. Looking at it (its object, status, log) does not.
struct Activity {
    Moment last;       ///< when a request that needed it awake last came or ended
    bool run = false;  ///< a command is under way
    bool use = false;  ///< a request is under way: a transfer of files, a session
};

struct SleepSettings {
    bool keep_alive = false;
    std::chrono::seconds idle_timeout{0};  ///< zero: it does not fall asleep by itself
};

/// Why a box is awake.
enum class Awake { kKeepAlive, kNoTimeout, kRun, kUse, kRecent, kDue };

struct Wakefulness {
    Awake why;
    std::optional<Moment> sleeps_at;  ///< nothing while it is not known, or never
    bool operator==(const Wakefulness&) const = default;
};

/// The rule, all of it: a box falls asleep `idle_timeout` after the last activity, unless it is kept alive or in use.
Wakefulness wakefulness(const Activity& activity, const SleepSettings& settings, Moment now);

/// When to look again; nothing: never. What is in use now may end at once, and then sleeps a whole timeout later at the
/// earliest: so nobody has to tell of its end.
std::optional<Moment> next_look(const Activity& activity, const SleepSettings& settings, Moment now);

/// As a part of a sentence: "a command runs in it".
const char* text_of(Awake why);

}  // namespace hutch::daemon
