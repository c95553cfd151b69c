#include "daemon/box/agenda.h"

#include <algorithm>

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kRetry{60};

}  // namespace

std::optional<Moment> earlier(std::optional<Moment> one, std::optional<Moment> other) {
    if (!one || !other) return one ? one : other;
    return std::min(*one, *other);
}

Agenda agenda_of(const Timetable& box, Moment now) {
    if (box.expires_at && *box.expires_at <= now) return {Due::kDelete, now + kRetry};
    Agenda agenda{Due::kNothing, box.expires_at};
    if (box.reclaim_at && *box.reclaim_at <= now) return {Due::kReclaim, agenda.again};
    agenda.again = earlier(agenda.again, box.reclaim_at);
    if (!box.awake) return agenda;
    const auto look = next_look(box.activity, box.settings, now);
    if (look && *look <= now) return {Due::kPause, earlier(agenda.again, now + kRetry)};
    agenda.again = earlier(agenda.again, look);
    return agenda;
}

}  // namespace hutch::daemon
