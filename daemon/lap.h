#pragma once

#include <chrono>
#include <cstdint>

namespace hutch::daemon {

/// Adds the time since the last step to where it belongs.
class Lap {
  public:
    void to(int64_t& nanoseconds) {
        const auto now = std::chrono::steady_clock::now();
        nanoseconds += std::chrono::nanoseconds(now - last_).count();
        last_ = now;
    }

  private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace hutch::daemon
