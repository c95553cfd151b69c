#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::runtime {

/// hutch-init, embedded in this library, as a sealed read-only memfd. Executing it leaves no path to a host file in
/// /proc/1/exe (CVE-2019-5736), and all boxes share its pages.
Result<UniqueFd> init_image();

}  // namespace hutch::runtime
