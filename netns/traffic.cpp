#include "netns/traffic.h"

#include <netlink/route/link.h>

#include "netns/netlink.h"

namespace hutch::netns {

Result<Traffic> traffic_of(const Config& config, Ipv4 address) {
    const std::string name = config.link_name(address);
    const Netlink netlink = TRY(Netlink::open());
    rtnl_link* found = nullptr;
    const int failure = rtnl_link_get_kernel(netlink.get(), 0, name.c_str(), &found);
    if (failure < 0) {
        return Error{ErrorKind::kSystem, failure == -NLE_NODEV ? ENODEV : 0,
                     "asking for link " + name + ": " + nl_geterror(failure)};
    }
    const Handle<rtnl_link, rtnl_link_put> link(found);
    // What the host's end receives, the box has sent.
    return Traffic{rtnl_link_get_stat(link.get(), RTNL_LINK_RX_BYTES),
                   rtnl_link_get_stat(link.get(), RTNL_LINK_TX_BYTES)};
}

}  // namespace hutch::netns
