#pragma once

#include <fmt/core.h>

#include <string>

namespace hutch::daemon {

enum class LogLevel { kInfo, kWarning, kError };

/// One line to standard error. The libraries below never log: they return errors, and the daemon says them once.
void write_log(LogLevel level, const std::string& line);

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
