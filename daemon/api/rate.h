#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "daemon/api/patience.h"

namespace hutch::daemon {

/// So many a minute for each who asks, as many at once for who has not asked in the last minute. Remembers only those
/// who have. Event loop thread only.
class Rate {
  public:
    using Moment = std::chrono::steady_clock::time_point;

    /// 0: without a limit.
    explicit Rate(uint32_t per_minute) : per_minute_(per_minute) {}

    /// Takes one, if there is one; else how long until there is.
    std::optional<Millis> take(const std::string& who, Moment now);
    /// The same, and takes none.
    [[nodiscard]] std::optional<Millis> wait(const std::string& who, Moment now) const;
    [[nodiscard]] size_t remembered() const { return used_up_to_.size(); }

  private:
    void forget(Moment now);

    uint32_t per_minute_;
    size_t most_ = 1024;
    /// When all of it will be there again: the later, the less there is now.
    std::unordered_map<std::string, Moment> used_up_to_;
};

}  // namespace hutch::daemon
