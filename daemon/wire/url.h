#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace hutch::daemon {

struct Target {
    std::string path;  ///< decoded segment by segment; begins with '/'
    std::map<std::string, std::string> query;
};

/// An HTTP request's target. kInvalid for what is not origin-form, a bad escape, or an escaped '/' or NUL in the path
/// (it would change which call is meant).
Result<Target> parse_target(const std::string& target);

}  // namespace hutch::daemon
