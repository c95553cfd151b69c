#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

/// What another daemon of a network that overlaps this one's has on the host: its firewall closes this one's gateway to
/// this one's boxes, its links take their packets.
struct Intruder {
    std::string name;    ///< of that daemon
    std::string what;    ///< e.g. "the firewall table inet etest, of 198.18.0.0/16"
    std::string remove;  ///< the command that removes it, should that daemon be gone
};
/// Only reads.
Result<std::vector<Intruder>> find_intruders(const Config& config);
/// The pure part: the range and the prefix of the links that a daemon's chain "postrouting" is for.
std::optional<std::pair<Prefix, std::string>> owner_of_chain(std::string_view listing);

}  // namespace hutch::netns
