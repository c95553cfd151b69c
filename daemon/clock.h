#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace hutch::daemon {

/// Milliseconds since 1970, for records; what measures or waits uses the monotonic clock.
inline int64_t unix_now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}
/// Seconds since 1970.
inline int64_t unix_now() {
    return unix_now_ms() / 1000;
}

/// "2026-11-29T23:27:12Z", as RFC 3339 has it in UTC; `fraction` of the second: ".123", or nothing. It has no years but
/// 0000 to 9999: what is beyond is the nearest moment in them.
std::string rfc3339(int64_t unix_seconds, const std::string& fraction = "");
/// With nine digits of the second, where it is not a whole one.
std::string rfc3339(const timespec& time);

/// The monotonic clock's moment of a past one; now for one that is yet to come, by a clock that was set back.
inline std::chrono::steady_clock::time_point moment_of(int64_t past_unix_ms) {
    const std::chrono::milliseconds ago(unix_now_ms() - past_unix_ms);
    return std::chrono::steady_clock::now() - std::max(ago, ago.zero());
}

}  // namespace hutch::daemon
