#include "netns/own_address.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netlink/route/route.h>

#include "netns/netlink.h"

namespace hutch::netns {
namespace {

using Target = Handle<nl_addr, nl_addr_put>;
using Found = Handle<rtnl_route, rtnl_route_put>;

Target target_of(const sockaddr& address) {
    if (address.sa_family == AF_INET6) {
        const auto& raw = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
        return handle<Target>(nl_addr_build(AF_INET6, &raw, sizeof(raw)));
    }
    const auto& raw = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return handle<Target>(nl_addr_build(AF_INET, &raw, sizeof(raw)));
}

}  // namespace

Result<Way> way_to(const sockaddr& address) {
    const Netlink netlink = TRY(Netlink::open());
    rtnl_route* found = nullptr;
    if (rtnl_route_lookup(netlink.get(), target_of(address).get(), &found) < 0) return Way::kNone;
    const Found way(found);
    return rtnl_route_get_type(way.get()) == RTN_LOCAL ? Way::kHere : Way::kAway;
}

Result<bool> is_own_address(const sockaddr& address) {
    return TRY(way_to(address)) == Way::kHere;
}

}  // namespace hutch::netns
