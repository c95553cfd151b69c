#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netns/config.h"

namespace hutch::netns {

/// What the host must do, or must not, for boxes to have a network. The way out and its MTU: way_out (routes.h).

/// net.ipv4.ip_forward: without it no packet of a box leaves the host.
Result<bool> forwarding_enabled();
/// Turns it on. True when it was off.
Result<bool> enable_forwarding();

/// Chains of other tables that drop whatever is forwarded unless they say otherwise ("ip filter FORWARD" where Docker
/// is), so that a box has no network in spite of our own rules. Only reads. Tables of iptables-legacy are not seen.
Result<std::vector<std::string>> foreign_forward_drops(const Config& config);
/// The pure part: finds them in the output of `nft list chains`.
std::vector<std::string> find_forward_drops(std::string_view listing, const std::string& own_table);

}  // namespace hutch::netns
