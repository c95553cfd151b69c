#include "daemon/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace hutch::daemon {

void write_log(LogLevel level, const std::string& said) {
    std::string line = said;  // it may quote a caller, who must not write lines of his own
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    static const std::shared_ptr<spdlog::logger> logger = [] {
        auto made = spdlog::stderr_color_mt("hutchd");
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
        return made;
    }();
    switch (level) {
        case LogLevel::kInfo:
            logger->info(line);
            break;
        case LogLevel::kWarning:
            logger->warn(line);
            break;
        case LogLevel::kError:
            logger->error(line);
            break;
    }
}

}  // namespace hutch::daemon
