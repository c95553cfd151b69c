#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/api/tls.h"
#include "daemon/settings.h"

namespace hutch::daemon {

/// What the TCP port of the API shows, and what that of public URLs; null where it speaks in clear.
Result<std::shared_ptr<Tls>> load_certificate(const Config& config);
Result<std::shared_ptr<Tls>> load_preview_certificate(const Config& config);

/// What hosts of the fleet show each other; null for one that stands alone. kInvalid also where options are missing.
Result<std::shared_ptr<Tls>> load_fleet_certificate(const Config& config);

/// What is wrong with the files and names that the configuration speaks of: they are read as a start reads them.
std::vector<std::string> check_files(const Settings& settings);

}  // namespace hutch::daemon
