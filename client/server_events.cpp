#include "client/server_events.h"

namespace hutch::client {

std::optional<ServerEvent> ServerEvents::next() {
    constexpr std::string_view kName = "event: ";
    constexpr std::string_view kData = "data: ";
    for (size_t end = held_.find("\n\n"); end != std::string::npos; end = held_.find("\n\n")) {
        const std::string event = held_.substr(0, end + 1);
        held_.erase(0, end + 2);
        ServerEvent found;
        for (size_t begin = 0; begin < event.size();) {
            const size_t line_end = event.find('\n', begin);
            const std::string_view line = std::string_view(event).substr(begin, line_end - begin);
            if (line.starts_with(kName)) found.name = line.substr(kName.size());
            if (line.starts_with(kData)) {
                found.data += (found.data.empty() ? "" : "\n") + std::string(line.substr(kData.size()));
            }
            begin = line_end + 1;
        }
        if (!found.data.empty()) return found;  // else a comment
    }
    return std::nullopt;
}

}  // namespace hutch::client
