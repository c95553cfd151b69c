#pragma once

#include <optional>

#include "netns/address.h"
#include "netns/netlink.h"
#include "netns/veth.h"

namespace hutch::netns {

/// Requests for what IPv4 knows about a link (given by its number).

/// `address`/32 with nothing behind the link.
Result<Request> add_address(int link, Ipv4 address);
/// `address` with `peer` at the other end: the route to the peer comes with it.
Result<Request> add_peer_address(int link, Ipv4 address, Ipv4 peer);
/// `target`/32 is at the other end of the link.
Result<Request> add_link_route(int link, Ipv4 target);
Result<Request> add_default_route(int link, Ipv4 gateway);
/// A permanent neighbour: nobody is ever asked for it, nobody can change it by ARP.
Result<Request> add_neighbour(int link, Ipv4 address, const Mac& mac);

/// Where the host's packets to the public Internet leave.
struct WayOut {
    std::string link;
    unsigned mtu;                   ///< of the link, or of the route where that is smaller; bytes
    std::optional<Ipv4> address{};  ///< the host's own there
};
/// Nothing when there is no route. Asks the routing tables the way a packet would (policy rules included).
Result<std::optional<WayOut>> way_out(const Netlink& netlink);

}  // namespace hutch::netns
