#pragma once

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

}  // namespace hutch::daemon
