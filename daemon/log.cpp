#include "daemon/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/ids.h"
#include "daemon/log_queue.h"
#include "daemon/utf8.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostWaiting = 1 << 20;  // bytes of lines that nobody has read yet
constexpr std::chrono::seconds kLastWords{1};

LogFormat& chosen() {
    static LogFormat format = isatty(STDERR_FILENO) == 1 ? LogFormat::kText : LogFormat::kJson;
    return format;
}

spdlog::level::level_enum level_of(LogLevel level) {
    switch (level) {
        case LogLevel::kInfo:
            return spdlog::level::info;
        case LogLevel::kWarning:
            return spdlog::level::warn;
        case LogLevel::kError:
            break;
    }
    return spdlog::level::err;
}

const char* name_of(LogLevel level) {
    switch (level) {
        case LogLevel::kInfo:
            return "info";
        case LogLevel::kWarning:
            return "warning";
        case LogLevel::kError:
            break;
    }
    return "error";
}

std::string escaped(std::string_view text) {
    std::string json;
    json.reserve(text.size());
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text.front());
        const Utf8 character = first_character(text);
        if (!character.whole) {
            json += "\\ufffd";
        } else if (first < 0x20 || first == 0x7F) {
            json += fmt::format("\\u{:04x}", first);
        } else {
            if (first == '"' || first == '\\') json += '\\';
            json += text.substr(0, character.size);
        }
        text.remove_prefix(character.size);
    }
    return json;
}

bool is_json() {
    static const bool json = chosen() == LogFormat::kJson;
    return json;
}

// The one place that may wait for whoever reads the log, on a thread of its own.
[[noreturn]] void write_for_ever(LogQueue& lines) {
    const auto logger = spdlog::stderr_color_mt("hutchd");
    logger->set_pattern(is_json() ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
    lines.write_all([&logger](const LogQueue::Line& line) {
        logger->log(line.time, spdlog::source_loc(), level_of(line.level), line.text);
    });
}

LogQueue& queue() {
    static LogQueue& lines = []() -> LogQueue& {
        auto* const made = new LogQueue(kMostWaiting, [](uint64_t dropped) {
            const std::string what = fmt::format("{} lines of the log were dropped: its reader was too slow", dropped);
            const auto now = std::chrono::system_clock::now();
            return LogQueue::Line{LogLevel::kWarning, now,
                                  is_json() ? json_log_line(now, LogLevel::kWarning, what) : what};
        });
        std::thread(write_for_ever, std::ref(*made)).detach();
        std::atexit([] { hutch::daemon::queue().flush(kLastWords); });
        return *made;  // never destroyed: its thread goes on to the end
    }();
    return lines;
}

std::string_view box_of(std::string_view message) {
    constexpr std::string_view kBefore = "box ";
    const size_t end = message.find(": ");
    if (end == std::string_view::npos || !message.starts_with(kBefore)) return {};
    const std::string_view id = message.substr(kBefore.size(), end - kBefore.size());
    return is_safe_id(id) ? id : std::string_view();
}

}  // namespace

void set_log_format(LogFormat format) {
    chosen() = format;
}

std::string json_log_line(std::chrono::system_clock::time_point time, LogLevel level, std::string_view message) {
    using namespace std::chrono;
    const auto ms = duration_cast<milliseconds>(time.time_since_epoch()).count();
    std::string line = fmt::format(R"({{"time":"{:%Y-%m-%dT%H:%M:%S}.{:03}Z","level":"{}")",
                                   fmt::gmtime(static_cast<time_t>(ms / 1000)), ms % 1000, name_of(level));
    if (const auto box = box_of(message); !box.empty()) line += fmt::format(R"(,"box":"{}")", box);
    return line + R"(,"message":")" + escaped(message) + "\"}";
}

void write_log(LogLevel level, const std::string& message) {
    const auto now = std::chrono::system_clock::now();
    std::string line = message;  // it may quote a caller, who must not write lines of his own
    if (is_json()) {
        line = json_log_line(now, level, message);
    } else {
        std::replace_if(
            line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    }
    queue().add({level, now, std::move(line)});
}

}  // namespace hutch::daemon
