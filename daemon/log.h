#pragma once

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <string_view>

namespace hutch::daemon {

enum class LogLevel { kInfo, kWarning, kError };
enum class LogFormat {
    kText,  ///< for reading
    kJson,  ///< an object a line, for programs
};

/// To be called before the first line; without it: text on a terminal, else JSON.
void set_log_format(LogFormat format);

/// One line to standard error. The libraries below never log: they return errors, and the daemon says them once.
void write_log(LogLevel level, const std::string& message);

/// {"time": RFC 3339 in UTC, "level", "box"?, "message"}, without a line break, whatever the bytes of the message; of
/// more than 8 KiB only the beginning.
/// `box` is the id in a message that begins with "box ID: ".
std::string json_log_line(std::chrono::system_clock::time_point time, LogLevel level, std::string_view message);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
    write_log(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
    write_log(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
    write_log(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hutch::daemon
