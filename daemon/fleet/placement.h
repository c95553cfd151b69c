#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "daemon/fleet/directory.h"

namespace hutch::daemon {

/// Where a box is to be made.
struct PlacementCall {
    std::string image;            ///< that it is made of; hosts that have it come before those that do not
    std::set<std::string> tried;  ///< these are not asked again
    /// Boxes given to a host since it last told of its load.
    std::map<std::string, int64_t> given;
    std::function<uint64_t()> random;
};

struct Placement {
    std::string host;                            ///< empty: there is none
    std::map<std::string, std::string> refused;  ///< those that may not be asked, and why
};

/// Of the hosts that are there, take boxes and have room, two at random, and of these the one that is less loaded: who
/// always takes the least loaded of all sends a burst of boxes to one host (Mitzenmacher, "The Power of Two Choices").
Placement choose_host(const Directory& directory, const PlacementCall& call);

/// How much of it is in use, from 0; `given` as in PlacementCall.
double load_of(const FleetLoad& host, int64_t given);

}  // namespace hutch::daemon
