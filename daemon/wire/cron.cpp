#include "daemon/wire/cron.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "base/text.h"

namespace hutch::daemon {
namespace {

struct CronField {
    const char* name;
    unsigned least;
    unsigned most;
    std::span<const std::string_view> names;  ///< of the values from `least` on
};

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr unsigned kSunday = 7;  // the other one is 0

constexpr CronField kMinute{"minute", 0, 59, {}};
constexpr CronField kHour{"hour", 0, 23, {}};
constexpr CronField kDay{"day of the month", 1, 31, {}};
constexpr CronField kMonth{"month", 1, 12, kMonths};
constexpr CronField kWeekday{"day of the week", 0, kSunday, kWeekdays};

constexpr std::array<unsigned, 12> kLongestMonths = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
constexpr int64_t kLatest = (int64_t{1} << 43) / 1000;  // as of records: the year 2248
// The same date is the same weekday again within 40 years, over a century without a leap day.
constexpr int kMostYears = 41;

Error wrong(const CronField& field, std::string_view typed, const std::string& what) {
    return invalid("cron: " + std::string(field.name) + ": \"" + std::string(typed) + "\" " + what);
}

std::string range_of(const CronField& field) {
    std::string text = std::to_string(field.least) + " to " + std::to_string(field.most);
    if (!field.names.empty()) {
        text += ", or " + std::string(field.names.front()) + " to " + std::string(field.names.back());
    }
    return text;
}

std::optional<unsigned> number_of(std::string_view text) {
    if (text.empty() || text.size() > 2) return std::nullopt;
    unsigned number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    return number;
}

Result<unsigned> value_of(const CronField& field, std::string_view typed) {
    const auto name = std::find(field.names.begin(), field.names.end(), lower(typed));
    if (name != field.names.end()) return field.least + static_cast<unsigned>(name - field.names.begin());
    const auto number = number_of(typed);
    if (!number || *number < field.least || *number > field.most) {
        return wrong(field, typed, "is not from " + range_of(field));
    }
    return *number;
}

struct CronRange {
    unsigned first = 0;
    unsigned last = 0;
};

Result<CronRange> range_in(const CronField& field, std::string_view typed) {
    if (typed == "*") return CronRange{field.least, field.most};
    const size_t dash = typed.find('-');
    CronRange range;
    range.first = TRY(value_of(field, typed.substr(0, dash)));
    range.last = range.first;
    if (dash == std::string_view::npos) return range;
    range.last = TRY(value_of(field, typed.substr(dash + 1)));
    if (range.last == 0 && field.most == kSunday && range.first > 0) range.last = kSunday;  // "fri-sun"
    if (range.last < range.first) return wrong(field, typed, "ends before it begins");
    return range;
}

// "*", "5", "1-5", "*/15", "10-50/20".
Result<uint64_t> bits_of_item(const CronField& field, std::string_view typed) {
    const size_t slash = typed.find('/');
    const std::string_view base = typed.substr(0, slash);
    const CronRange range = TRY(range_in(field, base));
    unsigned step = 1;
    if (slash != std::string_view::npos) {
        if (base != "*" && base.find('-') == std::string_view::npos) {
            return wrong(field, typed,
                         "has a step and no range; write " + std::string(base) + "-" + std::to_string(field.most) +
                             std::string(typed.substr(slash)));
        }
        const auto number = number_of(typed.substr(slash + 1));
        if (!number || *number == 0 || *number > field.most) {
            return wrong(field, typed, "needs a step from 1 to " + std::to_string(field.most));
        }
        step = *number;
    }
    uint64_t bits = 0;
    for (unsigned value = range.first; value <= range.last; value += step) bits |= uint64_t{1} << value;
    return bits;
}

Result<uint64_t> bits_of(const CronField& field, std::string_view typed) {
    uint64_t bits = 0;
    for (size_t begin = 0; begin <= typed.size();) {
        const size_t end = std::min(typed.find(',', begin), typed.size());
        const std::string_view item = typed.substr(begin, end - begin);
        if (item.empty()) return wrong(field, typed, "has an empty place in its list");
        bits |= TRY(bits_of_item(field, item));
        begin = end + 1;
    }
    return bits;
}

std::vector<std::string_view> words_of(std::string_view text) {
    constexpr const char* kBlanks = " \t";
    std::vector<std::string_view> words;
    for (size_t at = text.find_first_not_of(kBlanks); at < text.size();) {
        const size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
        words.push_back(text.substr(at, end - at));
        at = std::min(text.find_first_not_of(kBlanks, end), text.size());
    }
    return words;
}

bool has(uint64_t bits, unsigned value) {
    return ((bits >> value) & 1) != 0;
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
    if (text.size() > kLongest) return invalid("cron: is longer than 256 bytes; make several schedules of it");
    if (has_control(text) && text.find_first_of("\r\n") != std::string_view::npos) {
        return invalid("cron: must be one line");
    }
    const auto words = words_of(text);
    if (words.size() != 5) {
        return invalid("cron: \"" + std::string(text) + "\" has " + std::to_string(words.size()) +
                       " fields; write five: minute, hour, day of the month, month, day of the week (in UTC)");
    }
    Cron cron;
    cron.minutes_ = TRY(bits_of(kMinute, words[0]));
    cron.hours_ = TRY(bits_of(kHour, words[1]));
    cron.days_ = TRY(bits_of(kDay, words[2]));
    cron.months_ = TRY(bits_of(kMonth, words[3]));
    cron.weekdays_ = TRY(bits_of(kWeekday, words[4]));
    if (has(cron.weekdays_, kSunday)) cron.weekdays_ |= 1;
    cron.either_ = !words[2].starts_with('*') && !words[4].starts_with('*');
    TRY(cron.check_days());
    return cron;
}

// A day of the week comes in every month.
Result<void> Cron::check_days() const {
    const auto first = static_cast<unsigned>(std::countr_zero(days_));
    for (unsigned month = 1; month <= kLongestMonths.size(); ++month) {
        if (has(months_, month) && (either_ || first <= kLongestMonths[month - 1])) return {};
    }
    const auto month = static_cast<unsigned>(std::countr_zero(months_));
    return invalid("cron: day of the month: there never is a day " + std::to_string(first) + " in " +
                   std::string(kMonths[month - 1]));
}

bool Cron::has_day(unsigned day, unsigned weekday) const {
    const bool by_date = has(days_, day);
    const bool by_week = has(weekdays_, weekday);
    return either_ ? by_date || by_week : by_date && by_week;
}

// The first minute of a day that is not before `from`.
std::optional<int64_t> Cron::minute_of_day(int64_t from) const {
    for (int64_t hour = from / 60; hour < 24; ++hour) {
        if (!has(hours_, static_cast<unsigned>(hour))) continue;
        const int64_t passed = hour == from / 60 ? from % 60 : 0;
        const uint64_t left = minutes_ >> passed;
        if (left != 0) return hour * 60 + passed + std::countr_zero(left);
    }
    return std::nullopt;
}

std::optional<int64_t> Cron::after(int64_t unix_seconds) const {
    using namespace std::chrono;
    if (unix_seconds >= kLatest || unix_seconds < -kLatest) return std::nullopt;
    const sys_seconds earliest = floor<minutes>(sys_seconds(seconds(unix_seconds))) + minutes(1);
    sys_days day = floor<days>(earliest);
    int64_t from = duration_cast<minutes>(earliest - day).count();
    const sys_days last = day + days(366 * kMostYears);
    while (day <= last) {
        const year_month_day date(day);
        if (!has(months_, static_cast<unsigned>(date.month()))) {
            day = sys_days((date.year() / date.month() + months(1)) / 1);
            from = 0;
            continue;
        }
        if (has_day(static_cast<unsigned>(date.day()), weekday(day).c_encoding())) {
            if (const auto minute = minute_of_day(from)) {
                const int64_t found = (sys_seconds(day) + minutes(*minute)).time_since_epoch().count();
                return found < kLatest ? std::optional(found) : std::nullopt;
            }
        }
        day += days(1);
        from = 0;
    }
    return std::nullopt;
}

}  // namespace hutch::daemon
