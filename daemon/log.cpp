#include "daemon/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "base/ids.h"

namespace hutch::daemon {
namespace {

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

// Bytes of the UTF-8 character that `text` begins with, or 0 (The Unicode Standard, table 3-7).
size_t character_length(std::string_view text) {
    const auto byte = [text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    const unsigned least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (byte(1) < least || byte(1) > most) return 0;
    for (size_t i = 2; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return 0;
    }
    return length;
}

std::string escaped(std::string_view text) {
    std::string json;
    json.reserve(text.size());
    while (!text.empty()) {
        const auto first = static_cast<unsigned char>(text.front());
        const size_t length = character_length(text);
        if (length == 0) {
            json += "\\ufffd";
        } else if (first < 0x20 || first == 0x7F) {
            json += fmt::format("\\u{:04x}", first);
        } else {
            if (first == '"' || first == '\\') json += '\\';
            json += text.substr(0, length);
        }
        text.remove_prefix(std::max<size_t>(length, 1));
    }
    return json;
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
    static const bool json = chosen() == LogFormat::kJson;
    static const std::shared_ptr<spdlog::logger> logger = [] {
        auto made = spdlog::stderr_color_mt("hutchd");
        made->set_pattern(json ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
        return made;
    }();
    std::string line = message;  // it may quote a caller, who must not write lines of his own
    if (json) {
        line = json_log_line(std::chrono::system_clock::now(), level, message);
    } else {
        unsigned char before = 0;
        for (char& c : line) {
            const auto byte = static_cast<unsigned char>(c);
            const bool c1 = before == 0xC2 && byte >= 0x80 && byte < 0xA0;  // U+0080 to U+009F: controls, too
            if (byte < ' ' || byte == 0x7F || c1) c = '?';
            before = byte;
        }
    }
    logger->log(level_of(level), line);
}

}  // namespace hutch::daemon
