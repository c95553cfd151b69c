#include "daemon/log.h"

#include <fmt/chrono.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/ids.h"
#include "base/utf8.h"
#include "daemon/clock.h"
#include "daemon/log_queue.h"

namespace hutch::daemon {
namespace {

constexpr size_t kLongestMessage = 8 << 10;  // bytes
constexpr size_t kMostLogWaiting = 1 << 20;  // bytes of lines that nobody has read yet
constexpr std::chrono::seconds kLastWords{1};

LogFormat& chosen() {
    static LogFormat format = isatty(STDERR_FILENO) == 1 ? LogFormat::kText : LogFormat::kJson;
    return format;
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

// "2026-11-29T23:27:12.123Z"
std::string moment(std::chrono::system_clock::time_point time) {
    using namespace std::chrono;
    const auto ms = duration_cast<milliseconds>(time.time_since_epoch()).count();
    return rfc3339(ms / 1000, fmt::format(".{:03}", ms % 1000));
}

// It may quote others, who must not take the room of other lines: of what is longer, nobody reads the end.
std::string shortened(std::string_view message) {
    if (message.size() <= kLongestMessage) return std::string(message);
    return fmt::format("{} ... and {} bytes more", message.substr(0, kLongestMessage),
                       message.size() - kLongestMessage);
}

// It may quote a caller, who must not write lines of his own.
std::string text_log_line(std::chrono::system_clock::time_point time, LogLevel level, std::string message) {
    message = shortened(message);
    unsigned char before = 0;
    for (char& c : message) {
        const auto byte = static_cast<unsigned char>(c);
        const bool c1 = before == 0xC2 && byte >= 0x80 && byte < 0xA0;  // U+0080 to U+009F: controls, too
        if (byte < ' ' || byte == 0x7F || c1) c = '?';
        before = byte;
    }
    return moment(time) + " " + name_of(level) + " " + message;
}

// The one place that may wait for whoever reads the log.
void write_line(const std::string& line) {
    const std::string text = line + "\n";
    for (std::string_view rest = text; !rest.empty();) {
        const ssize_t size = write(STDERR_FILENO, rest.data(), rest.size());
        if (size >= 0) {
            rest.remove_prefix(static_cast<size_t>(size));
        } else if (errno == EAGAIN) {
            pollfd ready{STDERR_FILENO, POLLOUT, 0};
            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return;  // there is nobody to tell
        }
    }
}

std::string line_of(LogLevel level, const std::string& message) {
    static const bool json = chosen() == LogFormat::kJson;
    const auto now = std::chrono::system_clock::now();
    return json ? json_log_line(now, level, message) : text_log_line(now, level, message);
}

LogQueue& queue() {
    static LogQueue& lines = []() -> LogQueue& {
        auto* const made = new LogQueue(kMostLogWaiting, [](uint64_t dropped) {
            return line_of(LogLevel::kWarning,
                           fmt::format("{} lines of the log were dropped: its reader was too slow", dropped));
        });
        std::thread([made] { made->write_all(write_line); }).detach();
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
    std::string line = fmt::format(R"({{"time":"{}","level":"{}")", moment(time), name_of(level));
    if (const auto box = box_of(message); !box.empty()) line += fmt::format(R"(,"box":"{}")", box);
    return line + R"(,"message":")" + escaped(shortened(message)) + "\"}";
}

void write_log(LogLevel level, const std::string& message) {
    queue().add(line_of(level, message));
}

}  // namespace hutch::daemon
