#pragma once

#include <cstdint>

#include "base/result.h"
#include "netns/config.h"

namespace hutch::netns {

/// Bytes of packets that went over a box's link since it was made, as the box sees them: IP and link headers count.
struct Traffic {
    uint64_t sent_bytes = 0;
    uint64_t received_bytes = 0;
};

/// Of the link of the box with this address, which is there as long as a process of the box is: ENODEV after that.
/// Call it in the host's network namespace.
Result<Traffic> traffic_of(const Config& config, Ipv4 address);

}  // namespace hutch::netns
