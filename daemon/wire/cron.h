#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// When something happens again and again, by the clock in UTC: the five fields of crontab(5), which are minute, hour,
/// day of the month, month, and day of the week (0 or 7 is Sunday). Each is `*`, a number or a name (jan, mon; in any
/// case), a range of two, a range or `*` with a step, or a list of these. Where neither of the two fields of days
/// begins with `*`, a day that one of them names is enough; else both must name it.
class Cron {
  public:
    static constexpr size_t kLongest = 256;  ///< bytes of text

    /// kInvalid, "cron: " with the field and what was typed, for all else, and for a day that never comes.
    static Result<Cron> parse(std::string_view text);

    /// The first moment after this one, both in Unix seconds; nothing beyond the year 2248.
    [[nodiscard]] std::optional<int64_t> after(int64_t unix_seconds) const;

  private:
    [[nodiscard]] bool has_day(unsigned day, unsigned weekday) const;
    [[nodiscard]] std::optional<int64_t> minute_of_day(int64_t from) const;
    [[nodiscard]] Result<void> check_days() const;

    // A bit for each value.
    uint64_t minutes_ = 0;
    uint64_t hours_ = 0;
    uint64_t days_ = 0;
    uint64_t months_ = 0;
    uint64_t weekdays_ = 0;
    bool either_ = false;  ///< one of the two fields of days is enough
};

}  // namespace hutch::daemon
