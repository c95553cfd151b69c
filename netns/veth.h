#pragma once

#include <array>

#include "netns/address.h"
#include "netns/netlink.h"

namespace hutch::netns {

using Mac = std::array<uint8_t, 6>;

/// 02:00 and the address: locally administered, and unique wherever the address is. Set by us at birth, so that
/// systemd-udevd (MACAddressPolicy=persistent) leaves it alone and neighbours can be told before the link exists.
Mac mac_of(Ipv4 address);

struct VethEnd {
    std::string name;
    Mac mac;
};

/// A veth pair, born with its peer inside the namespace `netns` (moving one there costs 16 ms). Both ends are down (a
/// peer cannot be born up: ENOTCONN), speak no ARP, and have one queue instead of one per CPU (each has sysfs entries).
Result<Request> make_veth(const VethEnd& near, const VethEnd& peer, int netns, unsigned mtu);
/// Strict reverse path (ip-sysctl, rp_filter=1), no IPv6 address of its own, and in a second step: up.
Result<Request> settle_host_end(int link);
Result<Request> link_up(int link);

/// Takes away many links at once: put each into the doomed group, then delete the group. One at a time each waits for
/// an RCU grace period (16 ms).
Result<Request> doom_link(int link);
Result<Request> delete_doomed_links();

}  // namespace hutch::netns
