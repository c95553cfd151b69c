#include "daemon/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace hutch::daemon {

void write_log(LogLevel level, const std::string& line) {
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
