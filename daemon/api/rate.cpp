#include "daemon/api/rate.h"

namespace hutch::daemon {

constexpr std::chrono::nanoseconds kMinute = std::chrono::minutes(1);

std::optional<Millis> Rate::wait(const std::string& who, Moment now) const {
    const auto found = used_up_to_.find(who);
    if (per_minute_ == 0 || found == used_up_to_.end()) return std::nullopt;
    const auto over = found->second + kMinute / per_minute_ - (now + kMinute);
    if (over <= over.zero()) return std::nullopt;
    return std::chrono::ceil<Millis>(over);
}

std::optional<Millis> Rate::take(const std::string& who, Moment now) {
    if (per_minute_ == 0) return std::nullopt;
    if (auto left = wait(who, now)) return left;
    if (used_up_to_.size() >= most_) forget(now);
    Moment& up_to = used_up_to_.try_emplace(who, now).first->second;
    up_to = std::max(up_to, now) + kMinute / per_minute_;
    return std::nullopt;
}

// Not at each call: when there are twice as many as were worth keeping the last time.
void Rate::forget(Moment now) {
    std::erase_if(used_up_to_, [now](const auto& entry) { return entry.second <= now; });
    most_ = std::max<size_t>(1024, 2 * used_up_to_.size());
}

}  // namespace hutch::daemon
