#include "client/format.h"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <ctime>

namespace hutch::client {
namespace {

[[gnu::format(printf, 1, 2)]] std::string formatted(const char* format, ...) {
    std::array<char, 64> text{};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    return text.data();
}

}  // namespace

std::string format_duration(int64_t seconds) {
    constexpr int64_t kMinute = 60;
    constexpr int64_t kHour = 60 * kMinute;
    constexpr int64_t kDay = 24 * kHour;
    if (seconds < 0) seconds = 0;
    if (seconds < kMinute) return std::to_string(seconds) + "s";
    if (seconds < kHour) return std::to_string(seconds / kMinute) + "m";
    if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + "h";
    return std::to_string(seconds / kDay) + "d";
}

std::string format_size(uint64_t bytes) {
    constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) return std::to_string(bytes) + " B";
    double amount = static_cast<double>(bytes) / 1024;
    size_t unit = 0;
    // 1023.5 and more would print as 1024: it is 1.0 of the next unit.
    while (amount >= 1023.5 && unit + 1 < kUnits.size()) {
        amount /= 1024;
        ++unit;
    }
    return formatted(amount < 9.95 ? "%.1f %s" : "%.0f %s", amount, kUnits[unit]);
}

std::string format_cpu(uint64_t nanoseconds) {
    const double seconds = static_cast<double>(nanoseconds) / 1e9;
    if (seconds < 9.995) return formatted("%.2fs", seconds);
    if (seconds < 99.95) return formatted("%.1fs", seconds);
    return formatted("%.0fs", seconds);
}

std::string format_cost(double dollars) {
    if (dollars <= 0) return "$0";
    if (dollars < 0.0001) return "<$0.0001";
    return formatted(dollars < 1 ? "$%.4f" : "$%.2f", dollars);
}

std::string format_amount(double amount) {
    return formatted("%.3g", amount);
}

std::string format_time(int64_t unix_seconds) {
    const time_t time = unix_seconds;
    tm local{};
    std::array<char, 32> text{};
    if (localtime_r(&time, &local) == nullptr) return std::to_string(unix_seconds);
    strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
    return text.data();
}

std::string printable(std::string_view text, Lines lines) {
    std::string clean(text);
    for (size_t i = 0; i < clean.size(); ++i) {
        const auto byte = static_cast<unsigned char>(clean[i]);
        if (lines == Lines::kKeep && (byte == '\n' || byte == '\t')) continue;
        // U+0080 to U+009F are controls as well (C1); UTF-8 writes them as C2 80 to C2 9F.
        const bool c1 =
            byte == 0xC2 && i + 1 < clean.size() && (static_cast<unsigned char>(clean[i + 1]) & 0xE0U) == 0x80;
        if (c1) clean.erase(i + 1, 1);
        if (byte < 0x20 || byte == 0x7F || c1) clean[i] = '?';
    }
    return clean;
}

}  // namespace hutch::client
