#pragma once

#include <map>
#include <vector>

#include "daemon/store/records.h"
#include "netns/policy.h"

namespace hutch::daemon {

/// What the firewall makes of a box's policy. Without an allow list a custom one is open to all that is not denied.
/// Where headers are attached, HTTPS is relayed.
netns::Policy firewall_policy(const BoxRecord& box);

/// Those of the boxes that may be alive, by their address.
std::map<netns::Ipv4, netns::Policy> firewall_policies(const std::vector<BoxRecord>& boxes);

}  // namespace hutch::daemon
