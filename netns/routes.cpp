#include "netns/routes.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <algorithm>

namespace hutch::netns {
namespace {

using Address = Handle<nl_addr, nl_addr_put>;
using LinkAddress = Handle<rtnl_addr, rtnl_addr_put>;
using Route = Handle<rtnl_route, rtnl_route_put>;
using Neighbour = Handle<rtnl_neigh, rtnl_neigh_put>;
using Link = Handle<rtnl_link, rtnl_link_put>;

// A root name server: public for as long as there is an Internet. Nothing is sent to it, only the way is asked for.
constexpr Ipv4 kSomewherePublic{0xC6290004};

Address address_object(Ipv4 address, int length = 32) {
    const in_addr raw{htonl(address.value)};
    auto object = handle<Address>(nl_addr_build(AF_INET, &raw, sizeof(raw)));
    nl_addr_set_prefixlen(object.get(), length);
    return object;
}

Result<Request> add_route(std::string what, int link, const Address& target, unsigned char scope, nl_addr* gateway) {
    const auto route = handle<Route>(rtnl_route_alloc());
    rtnl_nexthop* hop = rtnl_route_nh_alloc();  // the route takes it
    if (hop == nullptr) throw std::bad_alloc();
    rtnl_route_nh_set_ifindex(hop, link);
    if (gateway != nullptr) rtnl_route_nh_set_gateway(hop, gateway);
    rtnl_route_add_nexthop(route.get(), hop);
    rtnl_route_set_dst(route.get(), target.get());
    rtnl_route_set_scope(route.get(), scope);
    rtnl_route_set_protocol(route.get(), RTPROT_STATIC);
    return request(std::move(what), rtnl_route_build_add_request, route.get(), NLM_F_CREATE | NLM_F_EXCL);
}

}  // namespace

Result<Request> add_address(int link, Ipv4 address) {
    return add_peer_address(link, address, address);
}

Result<Request> add_peer_address(int link, Ipv4 address, Ipv4 peer) {
    const auto entry = handle<LinkAddress>(rtnl_addr_alloc());
    rtnl_addr_set_ifindex(entry.get(), link);
    rtnl_addr_set_family(entry.get(), AF_INET);
    rtnl_addr_set_local(entry.get(), address_object(address).get());
    if (peer != address) rtnl_addr_set_peer(entry.get(), address_object(peer).get());
    return request("adding address " + to_string(address), rtnl_addr_build_add_request, entry.get(),
                   NLM_F_CREATE | NLM_F_EXCL);
}

Result<Request> add_link_route(int link, Ipv4 target) {
    return add_route("adding route to " + to_string(target), link, address_object(target), RT_SCOPE_LINK, nullptr);
}

Result<Request> add_default_route(int link, Ipv4 gateway) {
    return add_route("adding default route via " + to_string(gateway), link, address_object({}, 0), RT_SCOPE_UNIVERSE,
                     address_object(gateway).get());
}

Result<Request> add_neighbour(int link, Ipv4 address, const Mac& mac) {
    const auto entry = handle<Neighbour>(rtnl_neigh_alloc());
    const auto lladdr = handle<Address>(nl_addr_build(AF_LLC, mac.data(), mac.size()));
    rtnl_neigh_set_ifindex(entry.get(), link);
    rtnl_neigh_set_family(entry.get(), AF_INET);
    rtnl_neigh_set_dst(entry.get(), address_object(address).get());
    rtnl_neigh_set_lladdr(entry.get(), lladdr.get());
    rtnl_neigh_set_state(entry.get(), NUD_PERMANENT);
    return request("adding neighbour " + to_string(address), rtnl_neigh_build_add_request, entry.get(),
                   NLM_F_CREATE | NLM_F_REPLACE);
}

Result<std::optional<WayOut>> way_out(const Netlink& netlink) {
    rtnl_route* found = nullptr;
    if (rtnl_route_lookup(netlink.get(), address_object(kSomewherePublic).get(), &found) < 0) return {std::nullopt};
    const Route route(found);
    rtnl_nexthop* hop = rtnl_route_nexthop_n(route.get(), 0);
    rtnl_link* link = nullptr;
    if (hop == nullptr) return {std::nullopt};  // a blackhole
    if (const int failure = rtnl_link_get_kernel(netlink.get(), rtnl_route_nh_get_ifindex(hop), nullptr, &link);
        failure < 0) {
        return Error{ErrorKind::kSystem, 0,
                     std::string("looking for the link of the way out: ") + nl_geterror(failure)};
    }
    const Link owned(link);
    WayOut way{rtnl_link_get_name(link), rtnl_link_get_mtu(link)};
    if (nl_addr* own = rtnl_route_get_pref_src(route.get()); own != nullptr && nl_addr_get_family(own) == AF_INET) {
        way.address = Ipv4{ntohl(static_cast<const in_addr*>(nl_addr_get_binary_addr(own))->s_addr)};
    }
    uint32_t route_mtu = 0;
    if (rtnl_route_get_metric(route.get(), RTAX_MTU, &route_mtu) == 0 && route_mtu != 0) {
        way.mtu = std::min(way.mtu, route_mtu);
    }
    return {std::move(way)};
}

}  // namespace hutch::netns
