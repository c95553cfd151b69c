#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

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

/// The monotonic clock's moment of a past one; now for one that is yet to come, by a clock that was set back.
inline std::chrono::steady_clock::time_point moment_of(int64_t past_unix_ms) {
    const std::chrono::milliseconds ago(unix_now_ms() - past_unix_ms);
    return std::chrono::steady_clock::now() - std::max(ago, ago.zero());
}

}  // namespace hutch::daemon
