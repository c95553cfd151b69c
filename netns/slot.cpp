#include "netns/slot.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/syscalls.h"
#include "netns/box_firewall.h"
#include "netns/namespace.h"
#include "netns/routes.h"

namespace hutch::netns {
namespace {

constexpr unsigned kMtuWithoutWayOut = 1500;
constexpr int kLoopback = 1;  // the first link of every namespace (LOOPBACK_IFINDEX)

// The thread is inside: /proc/sys/net shows the namespace of who looks.
Result<void> set_sysctls() {
    TRY(write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"));
    TRY(write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", "0 2147483647"));
    // "all" is what later links begin with, too. Programs find ::1 nevertheless, on the one link that leads nowhere.
    constexpr const char* kIpv6 = "/proc/sys/net/ipv6/conf/";
    for (const auto& [link, value] : {std::pair{"all", "1"}, std::pair{"lo", "0"}}) {
        const auto ipv6 = write_value_at(AT_FDCWD, std::string(kIpv6) + link + "/disable_ipv6", value);
        if (!ipv6.ok() && ipv6.error().code != ENOENT) return ipv6.error();  // ENOENT: a kernel without IPv6
    }
    return {};
}

// The thread is inside: a sysfs mount shows the network of who made it.
Result<UniqueFd> mount_sysfs() {
    const UniqueFd context(sys_fsopen("sysfs", FSOPEN_CLOEXEC));
    if (!context) return errno_error("opening sysfs");
    if (sys_fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return errno_error("making sysfs");
    }
    constexpr unsigned kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    UniqueFd mount(sys_fsmount(context.get(), FSMOUNT_CLOEXEC, kAttributes));
    if (!mount) return errno_error("mounting sysfs");
    return mount;
}

template <typename... Requests>
Result<void> apply(Netlink& netlink, Requests... made) {
    std::vector<Request> batch;
    Result<void> outcome;
    const auto add = [&](Result<Request> request) {
        if (request.ok())
            batch.push_back(std::move(request).value());
        else if (outcome.ok())
            outcome = std::move(request).error();
    };
    (add(std::move(made)), ...);
    if (!outcome.ok()) return outcome;
    return netlink.apply(batch);
}

// `host` and `inside` are sockets of the two namespaces, so it does not matter where the thread is.
Result<void> connect(Netlink& host, Netlink& inside, const Config& config, const Slot& slot, unsigned mtu) {
    const VethEnd near{slot.link, mac_of(config.gateway())};
    const VethEnd peer{"eth0", mac_of(slot.address)};
    TRY(apply(host, make_veth(near, peer, slot.netns.get(), mtu)));

    const int eth0 = TRY(inside.link_index(peer.name));
    TRY(apply(inside, link_up(kLoopback), link_up(eth0), add_address(eth0, slot.address),
              add_link_route(eth0, config.gateway()), add_default_route(eth0, config.gateway()),
              add_neighbour(eth0, config.gateway(), near.mac)));

    const int link = TRY(host.link_index(slot.link));
    TRY(inside.follow_links());
    TRY(apply(host, settle_host_end(link), link_up(link), add_peer_address(link, config.gateway(), slot.address),
              add_neighbour(link, slot.address, peer.mac)));
    return inside.wait_until_running(eth0);  // the host's end, up last, runs at once
}

Result<Slot> make_on_this_thread(const Config& config, Ipv4 address) {
    Netlink host = TRY(Netlink::open());
    const auto way = TRY(way_out(host));
    Slot slot{{}, {}, address, config.link_name(address)};
    slot.netns = TRY(enter_new());
    TRY(load_box_firewall(config, way ? way->address : std::nullopt));  // before there is a link to send by
    TRY(set_sysctls());
    slot.sysfs = TRY(mount_sysfs());
    Netlink inside = TRY(Netlink::open());
    TRY(connect(host, inside, config, slot, way ? way->mtu : kMtuWithoutWayOut));
    return slot;
}

}  // namespace

Result<Slot> make_slot(const Config& config, Ipv4 address) {
    return TRY_IN("making network slot " + config.link_name(address),
                  on_own_thread([&] { return make_on_this_thread(config, address); }));
}

}  // namespace hutch::netns
