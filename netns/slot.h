#pragma once

#include "base/unique_fd.h"
#include "netns/config.h"

namespace hutch::netns {

/// A network a box can move into: a network namespace with nothing but lo and eth0, reached through a veth of its own
/// (no bridge: a routed /32 per box).
///
///     host: hutch-7  198.18.0.1 peer 198.18.0.7/32  <- veth ->   slot: eth0  198.18.0.7/32
///           rp_filter, no IPv6 address                                 default via 198.18.0.1
///     (permanent neighbours on both sides, no ARP, MTU of the host's way out)
///
/// The namespace belongs to the host's user namespace: box root cannot change a link, a route or a sysctl in it, nor
/// open a raw socket. What programs still expect of root is granted by sysctl: any port may be bound, ICMP echo sent.
/// IPv6 is off inside. A firewall of its own (box_firewall.h) is in it from the start.
///
/// Nothing needs tearing down: when the last process and fd of the namespace are gone, the kernel deletes it and both
/// ends of the veth behind our back (net_namespaces(7)). The sysfs mount does not keep it alive: it holds only a
/// passive reference to the namespace (kobj_ns_grab_current in sysfs_init_fs_context).
struct Slot {
    UniqueFd netns;
    UniqueFd sysfs;  ///< a detached read-only mount of sysfs that shows this namespace's links (fsmount(2))
    Ipv4 address;
    std::string link;  ///< the host's end
};

/// Makes the slot for `address` (of the range, in no other use). About 1.5 ms, on a thread of its own. On failure
/// nothing remains. EEXIST: a link of that name is still there (see recover.h).
Result<Slot> make_slot(const Config& config, Ipv4 address);

}  // namespace hutch::netns
