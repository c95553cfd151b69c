#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hutch::client {

/// Seconds as the largest whole unit that says enough: "42s", "5m", "47h", "12d". Below zero (clock skew) is "0s".
std::string format_duration(int64_t seconds);
/// Bytes in binary units: "512 B", "1.5 KiB", "12 MiB".
std::string format_size(uint64_t bytes);
/// CPU time: nanoseconds as seconds, "0.04s", "12.3s", "481s".
std::string format_cpu(uint64_t nanoseconds);
/// US dollars: "$0", "$0.0012", "$12.30". What is too small for four digits is "<$0.0001", not nothing.
std::string format_cost(double dollars);
/// A measured amount to three digits: "0", "0.000556", "12.3".
std::string format_amount(double amount);
/// Unix seconds as local time: "2025-01-31 14:05:09".
std::string format_time(int64_t unix_seconds);

/// `text` with control characters as '?': what a box wrote must not move the reader's cursor or rename the window.
/// kFold replaces line breaks too; kKeep leaves them and tabs.
enum class Lines { kFold, kKeep };
std::string printable(std::string_view text, Lines lines = Lines::kFold);

}  // namespace hutch::client
