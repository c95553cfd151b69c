#pragma once

#include <string>
#include <vector>

#include "daemon/config.h"

namespace hutch::daemon {

enum class FindingLevel { kOk, kWarning, kError };
const char* name_of(FindingLevel level);

/// One thing looked at on this host, and how to mend it where that is needed.
struct Finding {
    FindingLevel level = FindingLevel::kOk;
    std::string what;
    std::string fix;
};

/// Whether this host can run boxes: kernel, features, control groups, file system, network. Looks, tries in ways that
/// leave nothing behind, and changes nothing. For `hutchd doctor` and GET /v2/host.
std::vector<Finding> examine_host(const Config& config);

}  // namespace hutch::daemon
