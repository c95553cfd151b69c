#pragma once

#include <string>
#include <vector>

#include "netns/config.h"

namespace hutch::netns {

/// Deletes the host's links of ours that none of the `known` addresses has, all at once (their peers go with them), and
/// returns their names. Run it at start, before a pool makes links of its own. Links that only look like ours (another
/// number format, out of range) are left alone. Doing it again is harmless.
Result<std::vector<std::string>> recover(const Config& config, const std::vector<Ipv4>& known);

}  // namespace hutch::netns
