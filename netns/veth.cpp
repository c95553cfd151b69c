#include "netns/veth.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/veth.h>

namespace hutch::netns {
namespace {

using Link = Handle<rtnl_link, rtnl_link_put>;
using Address = Handle<nl_addr, nl_addr_put>;

// No one else's: links are in group 0 unless an operator says otherwise.
constexpr uint32_t kDoomedGroup = 0x68757463;

void describe(rtnl_link* link, const VethEnd& end, unsigned mtu) {
    rtnl_link_set_name(link, end.name.c_str());
    const auto mac = handle<Address>(nl_addr_build(AF_LLC, end.mac.data(), end.mac.size()));
    rtnl_link_set_addr(link, mac.get());
    rtnl_link_set_mtu(link, mtu);
    rtnl_link_set_num_tx_queues(link, 1);
    rtnl_link_set_num_rx_queues(link, 1);
    rtnl_link_set_flags(link, IFF_NOARP);
}

Link change_of(int index) {
    auto link = handle<Link>(rtnl_link_alloc());
    rtnl_link_set_ifindex(link.get(), index);
    return link;
}

Result<Request> change_request(std::string what, const Link& change) {
    return request(std::move(what), rtnl_link_build_change_request, change.get(), change.get(), 0);
}

}  // namespace

Mac mac_of(Ipv4 address) {
    const uint32_t v = address.value;
    return {0x02,
            0x00,
            static_cast<uint8_t>(v >> 24),
            static_cast<uint8_t>(v >> 16),
            static_cast<uint8_t>(v >> 8),
            static_cast<uint8_t>(v)};
}

Result<Request> make_veth(const VethEnd& near, const VethEnd& peer, int netns, unsigned mtu) {
    const auto link = handle<Link>(rtnl_link_veth_alloc());
    describe(link.get(), near, mtu);
    const auto inside = handle<Link>(rtnl_link_veth_get_peer(link.get()));
    describe(inside.get(), peer, mtu);
    rtnl_link_set_ns_fd(inside.get(), netns);
    return request("making veth " + near.name, rtnl_link_build_add_request, link.get(), NLM_F_CREATE | NLM_F_EXCL);
}

Result<Request> settle_host_end(int index) {
    const Link link = change_of(index);
    if (rtnl_link_inet_set_conf(link.get(), IPV4_DEVCONF_RP_FILTER, 1) < 0 ||
        rtnl_link_inet6_set_addr_gen_mode(link.get(), IN6_ADDR_GEN_MODE_NONE) < 0) {
        return invalid("this libnl knows no per-link settings");
    }
    return change_request("setting up the host's end of a veth", link);
}

Result<Request> link_up(int index) {
    const Link link = change_of(index);
    rtnl_link_set_flags(link.get(), IFF_UP);
    return change_request("setting link " + std::to_string(index) + " up", link);
}

Result<Request> doom_link(int index) {
    const Link link = change_of(index);
    rtnl_link_set_group(link.get(), kDoomedGroup);
    return change_request("dooming link " + std::to_string(index), link);
}

Result<Request> delete_doomed_links() {
    auto message = handle<Handle<nl_msg, nlmsg_free>>(nlmsg_alloc_simple(RTM_DELLINK, NLM_F_REQUEST));
    ifinfomsg all{};
    if (nlmsg_append(message.get(), &all, sizeof(all), NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(message.get(), IFLA_GROUP, kDoomedGroup) < 0) {
        throw std::bad_alloc();
    }
    return Request{"deleting doomed links", std::move(message)};
}

}  // namespace hutch::netns
