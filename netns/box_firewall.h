#pragma once

#include "netns/config.h"
#include "netns/policy.h"

namespace hutch::netns {

/// The second lock of a box's network: tables in the box's own network namespace. What flushes the host's rules
/// (restarting a distribution's firewall does) does not reach in here, nor does box root, since the namespace belongs
/// to the host's user namespace. One table is the same for all boxes; it drops what no rule accepts:
///
///     from the box:  to the gateway: DNS, the service, answers over TCP and to pings    -> accepted
///                    more packets than Config::packets_per_second: the host spends 5 us on
///                    each, which some kernels (CONFIG_IRQ_TIME_ACCOUNTING) bill to nobody        -> dropped
///                    more than 1,000 datagrams of DNS in a second                       -> dropped
///                    to a private, local or metadata network, or another box            -> dropped
///     to the box:    from the host                                                      -> accepted
///                    from a private network, or a TCP connection from anywhere else     -> dropped
///
/// What of the box's they drop they tell of, within bounds: refused_packets.h.
///
/// Another is there if the box has a policy that refuses something; it drops that, in both directions.
/// What names a policy allows it cannot know: TCP of a box with such a policy gets the time to live 1, so that it comes
/// to the host's relay or nowhere: a router drops what it would have to pass on (ip_forward() in ip_forward.c).
///
/// They need no conntrack: who answers, and who begins, is told by TCP's flags. Hence the host's datagrams reach a box,
/// but are not answered. Of the host's public addresses that of its way out is closed, others by the host's table alone
/// (firewall.h).

/// What the second one is called, where the first is called so.
std::string policy_table_of(const std::string& table);

/// Puts the first table into the namespace of the calling thread, which has none. `host`: the host's own address on the
/// way out, which is closed like a private network. 0.3 ms.
Result<void> load_box_firewall(const Config& config, std::optional<Ipv4> host);

/// Puts a policy into the namespace of a box, given by an fd of it or by a pidfd of a process in it, in one
/// transaction. 0.2 ms for the first one; some 20 ms for a change, since the kernel waits for packets that still look
/// at the old one.
Result<void> set_box_policy(int netns, const Config& config, const Policy& policy);

/// Makes sure that both tables are there as they must be, whatever an earlier daemon has put in. 0.2 ms when they are.
Result<void> mend_box_firewall(int netns, const Config& config, const Policy& policy);

}  // namespace hutch::netns
