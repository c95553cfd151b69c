#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/wait.h>

#include <set>

#include "netns/own_address.h"
#include "netns/pool.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/user_namespace.h"

namespace hutch::netns {

size_t LinkMonitor::wait_deleted(const std::string& prefix, size_t count) {
    size_t deleted = 0;
    while (deleted < count && readable(fd_.get())) {
        alignas(nlmsghdr) char buffer[32768];
        int left = static_cast<int>(recv(fd_.get(), buffer, sizeof(buffer), 0));
        for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(header, left);
             header = nlmsg_next(header, &left)) {
            const nlattr* name = nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_IFNAME);
            if (header->nlmsg_type != RTM_DELLINK || name == nullptr) continue;
            if (std::string(nla_get_string(name)).starts_with(prefix)) ++deleted;
        }
    }
    return deleted;
}

namespace {

bool link_exists(const std::string& name) {
    return if_nametoindex(name.c_str()) != 0;
}

/// Runs `work` in a process of its own inside the namespace; what it returns is at most 255.
template <typename Work>
int in_process(int netns, Work work) {
    const pid_t child = fork();
    if (child == 0) _exit(enter(netns).ok() ? work() : 255);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST_F(NetnsTest, ASlotHasLoopbackAndEth0UpAndNothingElse) {
    const Slot slot = this->slot(2);
    const auto links = must(run_inside(slot.netns.get(), []() -> Result<std::set<std::string>> {
        std::set<std::string> names;
        struct if_nameindex* all = if_nameindex();
        for (auto* at = all; at->if_name != nullptr; ++at) names.insert(at->if_name);
        if_freenameindex(all);
        return names;
    }));
    EXPECT_EQ(links, (std::set<std::string>{"lo", "eth0"}));
    for (const char* name : {"lo", "eth0"}) {
        const auto path = std::string("class/net/") + name + "/flags";
        EXPECT_EQ(std::stoi(must(read_file_at(slot.sysfs.get(), path)), nullptr, 16) & IFF_UP, IFF_UP) << name;
    }
}

TEST_F(NetnsTest, ASlotCanSendAtOnce) {
    const Slot first = slot(2);  // the host has the gateway address while it has a slot
    const UniqueFd receiver = bound_socket(-1, SOCK_DGRAM, config_.gateway(), 53);
    for (uint32_t number = 3; number < 19; ++number) {
        const Slot slot = this->slot(number);
        ASSERT_TRUE(udp_arrives(slot, receiver, config_.gateway(), 53, "none")) << number;
        if (HasFailure()) return;
    }
}

TEST_F(NetnsTest, ASlotLeavesByItsOwnAddressWithTheHostsMtu) {
    const Slot slot = this->slot(2);
    const auto host_way = must(way_out(must(Netlink::open())));
    const auto way = must(run_inside(slot.netns.get(), [] { return way_out(must(Netlink::open())); }));
    ASSERT_TRUE(way);
    EXPECT_EQ(way->link, "eth0");
    EXPECT_EQ(way->mtu, host_way ? host_way->mtu : 1500);
    const UniqueFd socket = plain_socket(slot.netns.get(), AF_INET, SOCK_DGRAM);
    ASSERT_EQ(connect_to(socket, kOutside, 9), 0);
    sockaddr_in own{};
    socklen_t length = sizeof(own);
    ASSERT_EQ(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length), 0);
    EXPECT_EQ(to_string(address_of(own)), to_string(slot.address));
}

TEST_F(NetnsTest, TheSysfsMountShowsTheSlotAndIsReadOnly) {
    const Slot slot = this->slot(2);
    EXPECT_TRUE(open_at(slot.sysfs.get(), "class/net/eth0/mtu", O_RDONLY).ok());
    EXPECT_EQ(open_at(slot.sysfs.get(), "class/net/" + slot.link, O_RDONLY).error().code, ENOENT);
    EXPECT_EQ(open_at(slot.sysfs.get(), "class/net/eth0/mtu", O_WRONLY).error().code, EROFS);
}

// The bits of what was refused.
enum Power { kLinks = 1, kRawSockets = 2, kPacketSockets = 4, kSysctls = 8, kFirewall = 16 };

int refused_powers() {
    auto netlink = must(Netlink::open());
    std::vector<Request> change;
    change.push_back(must(link_up(must(netlink.link_index("eth0")))));
    int refused = 0;
    if (const auto done = netlink.apply(change); !done.ok() && done.error().code == EPERM) refused |= kLinks;
    if (!UniqueFd(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)) && errno == EPERM) refused |= kRawSockets;
    if (!UniqueFd(socket(AF_PACKET, SOCK_RAW, 0)) && errno == EPERM) refused |= kPacketSockets;
    if (!write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_default_ttl", "63").ok()) refused |= kSysctls;
    if (!run_nft("delete table inet hutchtest").ok()) refused |= kFirewall;
    return refused;
}

TEST_F(NetnsTest, BoxRootHasNoPowerOverItsNetwork) {
    const Slot slot = whole_slot(2);
    const UniqueFd userns = must(test::make_user_namespace(1 << 30));
    const int refused = must(run_inside(slot.netns.get(), [&]() -> Result<int> {
        return test::run_in_user_namespace(userns.get(), 0, refused_powers);
    }));
    EXPECT_EQ(refused, kLinks | kRawSockets | kPacketSockets | kSysctls | kFirewall);
    EXPECT_EQ(in_process(slot.netns.get(), refused_powers), 0) << "host root is refused too: the test proves nothing";
}

// 1: may not bind port 80. 2: may not open an ICMP datagram socket.
int refused_to_anyone() {
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 254;
    const UniqueFd web(socket(AF_INET, SOCK_STREAM, 0));
    const sockaddr_in name = socket_address({}, 80);
    const bool bound = bind(web.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
    const UniqueFd echo(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    return (bound ? 0 : 1) | (echo ? 0 : 2);
}

TEST_F(NetnsTest, AnyoneInASlotMayBindPort80AndPing) {
    const Slot slot = this->slot(2);
    EXPECT_EQ(in_process(slot.netns.get(), refused_to_anyone), 0);
    const UniqueFd plain = must(on_own_thread(enter_new));
    EXPECT_EQ(in_process(plain.get(), refused_to_anyone), 3) << "any namespace allows it: the test proves nothing";
}

TEST_F(NetnsTest, TheCallingThreadStaysWhereItIs) {
    const auto here = [] {
        char name[64]{};
        EXPECT_GT(readlink("/proc/thread-self/ns/net", name, sizeof(name) - 1), 0);
        return std::string(name);
    };
    const std::string before = here();
    const Slot slot = this->slot(2);
    const auto inside = must(run_inside(slot.netns.get(), [&]() -> Result<std::string> { return here(); }));
    EXPECT_NE(inside, before);
    EXPECT_EQ(here(), before);
}

TEST_F(NetnsTest, ASecondSlotOfOneAddressIsRefusedAndTheFirstStays) {
    const Slot slot = this->slot(2);
    const auto second = make_slot(config_, slot.address);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, EEXIST);
    EXPECT_EQ(second.error().message.substr(0, 55), "making network slot htest-2: making veth htest-2: File ");
    EXPECT_TRUE(link_exists(slot.link));
}

TEST_F(NetnsTest, ThirtyTwoSlotsLeaveNoLink) {
    LinkMonitor monitor;
    std::vector<Slot> slots;
    for (uint32_t number = 2; number < 34; ++number) slots.push_back(slot(number));
    slots.clear();
    EXPECT_EQ(monitor.wait_deleted("htest", 32), 32U);
    for (uint32_t number = 2; number < 34; ++number) EXPECT_FALSE(link_exists("htest" + std::to_string(number)));
}

TEST_F(NetnsTest, TheSysfsMountDoesNotKeepTheNetworkAlive) {
    LinkMonitor monitor;
    Slot slot = this->slot(2);
    slot.netns.reset();
    EXPECT_EQ(monitor.wait_deleted(slot.link, 1), 1U);
    EXPECT_TRUE(slot.sysfs.valid());
}

TEST_F(NetnsTest, AProcessKeepsTheNetworkAliveWithoutAnyFd) {
    Slot slot = this->slot(2);
    int gate[2];
    ASSERT_EQ(pipe(gate), 0);
    int entered[2];
    ASSERT_EQ(pipe(entered), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (!enter(slot.netns.get()).ok()) _exit(1);
        slot = Slot{};
        close(gate[1]);
        char byte = 0;
        _exit(write(entered[1], "x", 1) == 1 && read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    char byte = 0;
    ASSERT_EQ(read(entered[0], &byte, 1), 1);
    const Slot kept{{}, {}, slot.address, slot.link};
    slot = Slot{};
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect_to(client, kept.address, 9), ECONNREFUSED) << "refused by the box's own stack";
    LinkMonitor monitor;
    close(gate[1]);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(monitor.wait_deleted(kept.link, 1), 1U);
    for (const int fd : {gate[0], entered[0], entered[1]}) close(fd);
}

TEST_F(NetnsTest, RecoverDeletesTheLinksNobodyKnows) {
    const Slot known = slot(2);
    const Slot lost = slot(3);
    const Slot also_lost = slot(4);
    Config lookalike = config_;
    lookalike.link_prefix = "htestx";
    const Slot foreign = must(make_slot(lookalike, {config_.range.base.value + 5}));

    const auto names = must(recover(config_, {known.address}));
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), (std::set<std::string>{"htest-3", "htest-4"}));
    EXPECT_TRUE(link_exists("htest-2"));
    EXPECT_TRUE(link_exists("htestx-5"));
    EXPECT_FALSE(link_exists("htest-3"));
    EXPECT_FALSE(link_exists("htest-4"));
    EXPECT_TRUE(must(recover(config_, {known.address})).empty()) << "a second time there is nothing to do";
}

TEST_F(NetnsTest, AnEmptyPoolMakesSlotsOnDemand) {
    const auto pool = must(Pool::open(config_, {}, 0));
    const Slot first = must(pool->take());
    const Slot second = must(pool->take());
    EXPECT_NE(first.address, second.address);
    EXPECT_TRUE(link_exists(first.link));
    EXPECT_EQ(pool->ready(), 0U);
}

TEST_F(NetnsTest, APoolFillsItselfAndLeavesNothing) {
    LinkMonitor monitor;
    std::optional<Slot> taken;
    {
        const auto pool = must(Pool::open(config_, {}, 3));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
        while (pool->ready() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        ASSERT_EQ(pool->ready(), 3U);
        taken = must(pool->take());
        while (pool->ready() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        EXPECT_EQ(pool->ready(), 3U);
    }
    EXPECT_EQ(monitor.wait_deleted("htest", 3), 3U);
    EXPECT_TRUE(link_exists(taken->link));
}

TEST_F(NetnsTest, APoolKeepsAwayFromAddressesInUse) {
    config_.range = parse_prefix("198.19.240.0/29").value();
    const std::vector<Ipv4> in_use = {ip("198.19.240.2"), ip("198.19.240.4"), ip("198.19.240.5"), ip("198.19.240.6")};
    const auto pool = must(Pool::open(config_, in_use, 0));
    const Slot only = must(pool->take());
    EXPECT_EQ(only.address, ip("198.19.240.3"));
    EXPECT_EQ(pool->take().error().kind, ErrorKind::kLimit);
    pool->release(ip("198.19.240.5"));
    EXPECT_EQ(must(pool->take()).address, ip("198.19.240.5"));
    EXPECT_FALSE(Pool::open(config_, {ip("10.0.0.1")}).ok());
}

TEST_F(NetnsTest, WithoutARouteThereIsNoWayOut) {
    const UniqueFd plain = must(on_own_thread(enter_new));
    EXPECT_FALSE(must(run_inside(plain.get(), [] { return way_out(must(Netlink::open())); })));
}

sockaddr_in v4(const char* text) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

TEST_F(NetnsTest, WhatStaysOnTheHostIsItsOwnAddress) {
    const Slot slot = this->slot(2);
    const auto own = [](const auto& address) {
        return must(is_own_address(reinterpret_cast<const sockaddr&>(address)));
    };
    const auto judged = must(run_inside(slot.netns.get(), [&]() -> Result<std::vector<bool>> {
        return std::vector<bool>{own(v4(to_string(slot.address).c_str())), own(v4("127.0.0.1")), own(v4("127.1.2.3")),
                                 own(v4(to_string(config_.gateway()).c_str())), own(v4("192.88.99.1"))};
    }));
    EXPECT_EQ(judged, (std::vector<bool>{true, true, true, false, false}));
    EXPECT_TRUE(own(v4(to_string(config_.gateway()).c_str()))) << "which is the host's";
    const UniqueFd plain = must(on_own_thread(enter_new));
    EXPECT_FALSE(must(run_inside(plain.get(), [&]() -> Result<bool> { return own(v4("192.88.99.1")); })));
}

TEST_F(NetnsTest, ForwardingIsTurnedOnOnce) {
    const UniqueFd plain = must(on_own_thread(enter_new));
    must(run_inside(plain.get(), [] { return write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0"); }));
    EXPECT_FALSE(must(run_inside(plain.get(), forwarding_enabled)));
    EXPECT_TRUE(must(run_inside(plain.get(), enable_forwarding)));
    EXPECT_TRUE(must(run_inside(plain.get(), forwarding_enabled)));
    EXPECT_FALSE(must(run_inside(plain.get(), enable_forwarding)));
}

}  // namespace
}  // namespace hutch::netns
