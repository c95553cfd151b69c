#pragma once

#include <string>
#include <vector>

#include "netns/config.h"

namespace hutch::netns {

/// What boxes may talk to, as one nftables table of our own. It is the same for every box but those with a policy of
/// their own, which are elements of its sets (policy.h), and its rules never change while boxes come and go: links are
/// matched by name, and "whose address is this" is answered by the routing table (fib), where each box has its /32.
///
///     from a box:  not its own source address, or IPv6       -> dropped before anything else sees it
///                  to another box                            -> dropped
///                  to a private, local or metadata network   -> dropped
///                  to the host: DNS and the service at the
///                  gateway, answers                          -> accepted, everything else dropped
///                  to what its policy refuses                -> dropped
///                  more connections than kFlowsPerBox        -> dropped
///                  to the Internet                           -> masqueraded
///                  to a port that is relayed for it          -> over TCP to the host's relay, if all this accepts
///                                                            it; refused over UDP, and what goes around the relay
///     to a box:    from what its policy refuses              -> dropped
///                  answers                                   -> accepted, everything else dropped
///                  (the host's own connections to a box are open)
///     to the gateway address from any other network          -> dropped
///
/// What it accepts another table may still drop: see foreign_forward_drops (host.h). Behind it stands a second one, in
/// each box's network namespace: box_firewall.h.

/// Entries of the kernel's table of connections that a box may have at a time: a sixty-fourth of what that holds by
/// default.
constexpr unsigned kFlowsPerBox = 4096;

/// The ruleset as nft(8) text: it replaces the table, if there is one, in the same transaction.
std::string ruleset(const Config& config);

/// What is closed to all boxes: RFC 1918, shared (RFC 6598), this network, loopback, link-local with the metadata
/// addresses, multicast, reserved with broadcast, and the boxes' own. A host's published ports (DNAT in prerouting)
/// lead to these, too.
std::vector<Prefix> blocked_networks(const Config& config);
/// "10.0.0.0/8, 192.168.0.0/16"
std::string list_of(const std::vector<Prefix>& networks);

/// What others have left of the table.
enum class FirewallState { kAbsent, kChanged, kWhole };
/// Compares its rules with those that a new one would have; elements of its sets are not looked at. Only reads.
Result<FirewallState> look_at_firewall(const Config& config);

/// Puts the table in place, in one transaction: there is no moment without protection at a restart.
Result<void> load_firewall(const Config& config);
/// A missing table is fine.
Result<void> remove_firewall(const Config& config);

}  // namespace hutch::netns
