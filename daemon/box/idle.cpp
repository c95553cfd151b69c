#include "daemon/box/idle.h"

namespace hutch::daemon {

Wakefulness wakefulness(const Activity& activity, const SleepSettings& settings, Moment now) {
    if (settings.keep_alive) return {Awake::kKeepAlive, {}};
    if (settings.idle_timeout.count() == 0) return {Awake::kNoTimeout, {}};
    if (activity.run) return {Awake::kRun, {}};
    if (activity.use) return {Awake::kUse, {}};
    const Moment sleeps_at = activity.last + settings.idle_timeout;
    return {now < sleeps_at ? Awake::kRecent : Awake::kDue, sleeps_at};
}

std::optional<Moment> next_look(const Activity& activity, const SleepSettings& settings, Moment now) {
    const Wakefulness awake = wakefulness(activity, settings, now);
    if (awake.why == Awake::kKeepAlive || awake.why == Awake::kNoTimeout) return {};
    return awake.sleeps_at.value_or(now + settings.idle_timeout);
}

const char* text_of(Awake why) {
    switch (why) {
        case Awake::kKeepAlive:
            return "keep_alive is set";
        case Awake::kNoTimeout:
            return "its idle_timeout is 0";
        case Awake::kRun:
            return "a command runs in it";
        case Awake::kUse:
            return "a request uses it";
        case Awake::kRecent:
            return "it was used a short while ago";
        case Awake::kDue:
            return "it could not be paused yet";
    }
    return "";
}

}  // namespace hutch::daemon
