#include "daemon/clock.h"

#include <fmt/chrono.h>

namespace hutch::daemon {

std::string rfc3339(int64_t unix_seconds, const std::string& fraction) {
    constexpr int64_t kFirst = -62'167'219'200;  // 0000-01-01T00:00:00Z
    constexpr int64_t kLast = 253'402'300'799;   // 9999-12-31T23:59:59Z
    const auto time = static_cast<time_t>(std::clamp(unix_seconds, kFirst, kLast));
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}{}Z", fmt::gmtime(time), fraction);
}

std::string rfc3339(const timespec& time) {
    return rfc3339(time.tv_sec, time.tv_nsec == 0 ? "" : fmt::format(".{:09}", time.tv_nsec));
}

}  // namespace hutch::daemon
