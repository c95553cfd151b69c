#include "daemon/images/making.h"

#include <algorithm>

#include "daemon/clock.h"

namespace hutch::daemon {

Making::Making(std::string name, std::string wanted_by)
    : name_(std::move(name)), wanted_by_(std::move(wanted_by)), started_at_(unix_now()) {}

void Making::hear(std::string_view output) {
    for (const char c : output) {
        if (c != '\n' && c != '\r') {
            if (line_.size() < kMostSaid) line_ += c;
        } else if (!line_.empty()) {
            said_ = std::move(line_);
            line_.clear();
        }
    }
}

std::string Making::progress() const {
    const int64_t seconds = std::max<int64_t>(unix_now() - started_at_, 0);
    return "since " + std::to_string(seconds) + " s" + (said_.empty() ? "" : ", at: " + said_);
}

}  // namespace hutch::daemon
