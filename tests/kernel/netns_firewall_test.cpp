// What a box can reach, and what can reach it. Each protection is shown twice: with the whole firewall, and, as the
// control, without the rule in question, where the same packet must arrive.

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>

#include <cstring>
#include <fstream>

#include "netns/policy.h"
#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

TEST_F(NetnsTest, BoxesCannotReachEachOther) {
    const Slot a = slot(2);
    const Slot b = slot(3);
    const UniqueFd udp = bound_socket(b.netns.get(), SOCK_DGRAM, b.address, kPort);
    const UniqueFd tcp = bound_socket(b.netns.get(), SOCK_STREAM, b.address, kPort);
    EXPECT_FALSE(udp_arrives(a, udp, b.address, kPort, "box_to_box"));
    EXPECT_FALSE(tcp_arrives(a, tcp, b.address, kPort, "box_to_box"));

    weaken({"name box_to_box drop"});
    EXPECT_FALSE(udp_arrives(a, udp, b.address, kPort, "blocked")) << "the second lock: the range is a blocked network";
    weaken({"name box_to_box drop", "name blocked drop"});
    EXPECT_TRUE(udp_arrives(a, udp, b.address, kPort, "none"));
    EXPECT_TRUE(tcp_arrives(a, tcp, b.address, kPort, "none"));
}

TEST_F(NetnsTest, TheHostIsClosedToBoxes) {
    const Slot box = slot(2);
    const Slot outside = this->outside();  // gives the host one more address
    const UniqueFd tcp = bound_socket(-1, SOCK_STREAM, {}, kPort);
    const UniqueFd udp = bound_socket(-1, SOCK_DGRAM, {}, kPort);
    for (const Ipv4 address : {config_.gateway(), kOutsideGateway}) {
        EXPECT_FALSE(tcp_arrives(box, tcp, address, kPort, "to_host")) << to_string(address);
        EXPECT_FALSE(udp_arrives(box, udp, address, kPort, "to_host")) << to_string(address);
    }
    weaken({"name to_host drop"});
    for (const Ipv4 address : {config_.gateway(), kOutsideGateway}) {
        EXPECT_TRUE(tcp_arrives(box, tcp, address, kPort, "none")) << to_string(address);
        EXPECT_TRUE(udp_arrives(box, udp, address, kPort, "none")) << to_string(address);
    }
}

TEST_F(NetnsTest, TheServiceOfTheGatewayIsOpenToBoxesAndNothingBesideIt) {
    config_.service = kPort;
    must(load_firewall(config_));
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const UniqueFd service = bound_socket(-1, SOCK_STREAM, {}, kPort);
    const UniqueFd other = bound_socket(-1, SOCK_STREAM, {}, kPort + 1);
    const UniqueFd udp = bound_socket(-1, SOCK_DGRAM, {}, kPort);
    EXPECT_TRUE(tcp_arrives(box, service, config_.gateway(), kPort, "none"));
    EXPECT_FALSE(tcp_arrives(box, other, config_.gateway(), kPort + 1, "to_host"));
    EXPECT_FALSE(tcp_arrives(box, service, kOutsideGateway, kPort, "to_host")) << "the host's other addresses";
    EXPECT_FALSE(udp_arrives(box, udp, config_.gateway(), kPort, "to_host"));
    EXPECT_FALSE(tcp_arrives(outside, service, config_.gateway(), kPort, "outsider"));
}

TEST_F(NetnsTest, LoopbackInABoxIsItsOwn) {
    const Slot box = slot(2);
    const UniqueFd listener = bound_socket(-1, SOCK_STREAM, ip("127.0.0.1"), kPort);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect_to(client, ip("127.0.0.1"), kPort), 0);
    EXPECT_EQ(must(run_inside(box.netns.get(),
                              []() -> Result<int> {
                                  const UniqueFd inside(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                                  return connect_to(inside, ip("127.0.0.1"), kPort);
                              })),
              ECONNREFUSED);
}

TEST_F(NetnsTest, OnlyDnsIsOpenAtTheGateway) {
    const Slot box = slot(2);
    const UniqueFd udp = bound_socket(-1, SOCK_DGRAM, config_.gateway(), 53);
    const UniqueFd tcp = bound_socket(-1, SOCK_STREAM, config_.gateway(), 53);
    EXPECT_TRUE(udp_arrives(box, udp, config_.gateway(), 53, "none"));
    EXPECT_TRUE(tcp_arrives(box, tcp, config_.gateway(), 53, "none"));
}

TEST_F(NetnsTest, TheHostReachesABoxAndIsAnswered) {
    const Slot box = slot(2);
    const UniqueFd listener = bound_socket(box.netns.get(), SOCK_STREAM, box.address, kPort);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    connect_to(client, box.address, kPort);
    EXPECT_TRUE(readable(listener.get()));

    weaken({"ct state established,related accept"});
    const UniqueFd second(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const uint64_t before = drops("to_host");
    connect_to(second, box.address, kPort);
    EXPECT_GT(drops("to_host"), before) << "the box's answer comes in even without the rule for answers";
}

// A UDP datagram with any source address.
bool send_spoofed(const Slot& from, Ipv4 source, Ipv4 target, const std::string& text) {
    struct {
        iphdr ip;
        udphdr udp;
        char text[16];
    } packet{};
    const size_t size = sizeof(packet.ip) + sizeof(packet.udp) + text.size();
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.ttl = 64;
    packet.ip.protocol = IPPROTO_UDP;
    packet.ip.saddr = htonl(source.value);
    packet.ip.daddr = htonl(target.value);
    packet.udp.source = htons(kPort);
    packet.udp.dest = htons(kPort);
    packet.udp.len = htons(static_cast<uint16_t>(sizeof(packet.udp) + text.size()));
    text.copy(packet.text, sizeof(packet.text));
    const UniqueFd raw = plain_socket(from.netns.get(), AF_INET, SOCK_RAW, IPPROTO_RAW);
    return send_to(raw, target, 0, {reinterpret_cast<const char*>(&packet), size});
}

void set_reverse_path_filter(const Slot& slot, const std::string& value) {
    must(write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/conf/" + slot.link + "/rp_filter", value));
}

TEST_F(NetnsTest, SpoofedSourcesAreDropped) {
    const Slot box = slot(2);
    const Slot victim = slot(3);
    const Slot outside = this->outside();
    const UniqueFd receiver = bound_socket(outside.netns.get(), SOCK_DGRAM, kOutside, kPort);
    const Ipv4 unused = ip("198.19.240.9");
    for (const Ipv4 source :
         {victim.address, config_.gateway(), kOutsideGateway, kOutside, ip("203.0.113.9"), unused}) {
        const auto send = [&] { ASSERT_TRUE(send_spoofed(box, source, kOutside, "spoofed")); };
        EXPECT_FALSE(arrives(receiver, "spoofed", send)) << to_string(source);
    }
    EXPECT_TRUE(arrives(receiver, "none", [&] { send_spoofed(box, box.address, kOutside, "honest"); }));
    EXPECT_EQ(receive(receiver)->text, "honest");

    weaken({"name spoofed drop"});
    ASSERT_TRUE(send_spoofed(box, victim.address, kOutside, "spoofed"));
    ASSERT_TRUE(send_spoofed(box, box.address, kOutside, "honest"));
    EXPECT_EQ(receive(receiver)->text, "honest") << "the second lock: rp_filter on the host's end";

    set_reverse_path_filter(box, "0");
    EXPECT_TRUE(arrives(receiver, "none", [&] { send_spoofed(box, victim.address, kOutside, "spoofed"); }));
    EXPECT_EQ(receive(receiver)->text, "spoofed");
}

TEST_F(NetnsTest, ABoxReachesTheInternetByTheHostsAddress) {
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const UniqueFd server = bound_socket(outside.netns.get(), SOCK_DGRAM, kOutside, kPort);
    const UniqueFd client = plain_socket(box.netns.get(), AF_INET, SOCK_DGRAM);
    ASSERT_TRUE(send_to(client, kOutside, kPort, "question"));
    const auto question = receive(server);
    ASSERT_TRUE(question);
    EXPECT_EQ(to_string(question->from), to_string(kOutsideGateway));
    ASSERT_TRUE(send_to(server, question->from, question->port, "answer"));
    const auto answer = receive(client);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->text, "answer");
    EXPECT_EQ(to_string(answer->from), to_string(kOutside));

    weaken({"masquerade"});
    ASSERT_TRUE(send_to(plain_socket(box.netns.get(), AF_INET, SOCK_DGRAM), kOutside, kPort, "question"));
    EXPECT_EQ(to_string(receive(server)->from), to_string(box.address));
}

TEST_F(NetnsTest, NobodyReachesABoxUninvited) {
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const UniqueFd tcp = bound_socket(box.netns.get(), SOCK_STREAM, box.address, kPort);
    const UniqueFd udp = bound_socket(box.netns.get(), SOCK_DGRAM, box.address, kPort);
    EXPECT_FALSE(tcp_arrives(outside, tcp, box.address, kPort, "uninvited"));
    EXPECT_FALSE(udp_arrives(outside, udp, box.address, kPort, "uninvited"));
    weaken({"name uninvited drop"});
    EXPECT_TRUE(tcp_arrives(outside, tcp, box.address, kPort, "none"));
    EXPECT_TRUE(udp_arrives(outside, udp, box.address, kPort, "none"));
}

TEST_F(NetnsTest, TheGatewayAnswersBoxesOnly) {
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const UniqueFd dns = bound_socket(-1, SOCK_DGRAM, config_.gateway(), 53);
    EXPECT_FALSE(udp_arrives(outside, dns, config_.gateway(), 53, "outsider"));
    weaken({"name outsider drop"});
    EXPECT_TRUE(udp_arrives(outside, dns, config_.gateway(), 53, "none"));
}

TEST_F(NetnsTest, PrivateAndMetadataAddressesAreDroppedEvenWithARoute) {
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const std::vector<std::string> addresses = {"10.77.0.1",   "172.16.77.1", "172.31.77.1",    "192.168.77.1",
                                                "100.64.77.1", "100.127.7.1", "169.254.169.254"};
    for (const auto& address : addresses) add_outside_address(outside, ip(address));
    const UniqueFd receiver = bound_socket(outside.netns.get(), SOCK_DGRAM, {}, kPort);
    for (const auto& address : addresses) {
        EXPECT_FALSE(udp_arrives(box, receiver, ip(address), kPort, "blocked")) << address;
    }
    weaken({"name blocked drop"});
    for (const auto& address : addresses) {
        EXPECT_TRUE(udp_arrives(box, receiver, ip(address), kPort, "none")) << address;
    }
}

TEST_F(NetnsTest, DocumentationAddressesAreNotBlocked) {
    const Slot box = slot(2);
    const Slot outside = this->outside();
    const UniqueFd receiver = bound_socket(outside.netns.get(), SOCK_DGRAM, {}, kPort);
    add_outside_address(outside, ip("203.0.113.77"));
    EXPECT_TRUE(udp_arrives(box, receiver, ip("203.0.113.77"), kPort, "none"));
}

uint16_t udp6_checksum(const ip6_hdr& ip, const udphdr& udp) {
    uint32_t sum = IPPROTO_UDP + sizeof(udp);
    const auto add = [&sum](const void* data, size_t size) {
        for (size_t at = 0; at < size; at += 2) {
            uint16_t part = 0;
            std::memcpy(&part, static_cast<const char*>(data) + at, 2);
            sum += ntohs(part);
        }
    };
    add(&ip.ip6_src, 2 * sizeof(ip.ip6_src));
    add(&udp, sizeof(udp));
    while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
    return htons(static_cast<uint16_t>(~sum));
}

// An IPv6 datagram to all nodes of the link, as a frame, since the slot itself has no IPv6.
void send_ipv6(const Slot& from) {
    struct {
        ip6_hdr ip;
        udphdr udp;
    } packet{};
    packet.ip.ip6_vfc = 0x60;
    packet.ip.ip6_plen = htons(sizeof(packet.udp));
    packet.ip.ip6_nxt = IPPROTO_UDP;
    packet.ip.ip6_hlim = 64;
    inet_pton(AF_INET6, "fe80::2", &packet.ip.ip6_src);
    inet_pton(AF_INET6, "ff02::1", &packet.ip.ip6_dst);
    packet.udp.source = packet.udp.dest = htons(kPort);
    packet.udp.len = htons(sizeof(packet.udp));
    packet.udp.check = udp6_checksum(packet.ip, packet.udp);
    must(run_inside(from.netns.get(), [&]() -> Result<void> {
        const UniqueFd raw(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_ll to{};
        to.sll_family = AF_PACKET;
        to.sll_protocol = htons(ETHERTYPE_IPV6);
        to.sll_ifindex = static_cast<int>(if_nametoindex("eth0"));
        to.sll_halen = 6;
        std::memcpy(to.sll_addr, "\x33\x33\0\0\0\1", 6);
        if (sendto(raw.get(), &packet, sizeof(packet), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
            return errno_error("sending a frame");
        }
        return {};
    }));
}

TEST_F(NetnsTest, Ipv6FromABoxIsDropped) {
    const Slot box = slot(2);
    const UniqueFd receiver(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(kPort);
    ASSERT_EQ(bind(receiver.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_FALSE(arrives(receiver, "ipv6", [&] { send_ipv6(box); }));
    weaken({"name ipv6 drop"});
    // Behind it, the host's other rules for boxes hold for IPv6, too.
    EXPECT_FALSE(arrives(receiver, "spoofed", [&] { send_ipv6(box); }));
    weaken({"name ipv6 drop", "name spoofed drop", "name to_host drop"});
    EXPECT_TRUE(arrives(receiver, "none", [&] { send_ipv6(box); }));
}

TEST_F(NetnsTest, ASlotHasNoIpv6ButItsLoopback) {
    const Slot box = slot(2);
    EXPECT_EQ(
        must(run_inside(box.netns.get(), [] { return read_file_at(AT_FDCWD, "/proc/thread-self/net/if_inet6"); })),
        "00000000000000000000000000000001 01 80 10 80       lo\n");
    // Every line of the host's list ends with the link's name.
    EXPECT_EQ(must(read_file_at(AT_FDCWD, "/proc/self/net/if_inet6")).find(box.link), std::string::npos);
}

TEST_F(NetnsTest, LoadingAndRemovingTheFirewallMayBeRepeated) {
    EXPECT_TRUE(load_firewall(config_).ok());
    EXPECT_TRUE(remove_firewall(config_).ok());
    EXPECT_TRUE(remove_firewall(config_).ok());
    EXPECT_EQ(must(run_nft("list tables")).find(config_.table), std::string::npos);
}

TEST_F(NetnsTest, AForeignForwardPolicyIsFound) {
    const UniqueFd plain = must(on_own_thread(enter_new));
    const auto found = must(run_inside(plain.get(), [&]() -> Result<std::vector<std::string>> {
        TRY(run_nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }"));
        TRY(load_firewall(config_));
        return foreign_forward_drops(config_);
    }));
    EXPECT_EQ(found, std::vector<std::string>{"ip filter FORWARD"});
}

// Of the box's, in the kernel's table of connections.
size_t flows_of(const Slot& box) {
    std::ifstream lines("/proc/net/nf_conntrack");
    size_t count = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.find("src=" + to_string(box.address) + " ") != std::string::npos) ++count;
    }
    return count;
}

// Each from a port of its own; of another test's box nothing is left under a number of its own.
void send_datagrams(const Slot& box, Ipv4 target, uint16_t port, unsigned count) {
    must(run_inside(box.netns.get(), [&]() -> Result<void> {
        for (unsigned i = 0; i < count; ++i) {
            const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            const sockaddr_in own = socket_address(box.address, static_cast<uint16_t>(20000 + i));
            if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)) != 0)
                return errno_error("binding");
            if (!send_to(fd, target, port, "flow")) return errno_error("sending");
        }
        return {};
    }));
}

TEST_F(NetnsTest, DatagramsToTheNameServerMakeNoFlows) {
    const Slot box = slot(77);
    send_datagrams(box, config_.gateway(), 53, 100);
    EXPECT_EQ(flows_of(box), 0U);
    weaken({"udp dport 53 notrack"});
    send_datagrams(box, config_.gateway(), 53, 100);
    EXPECT_EQ(flows_of(box), 100U);
}

TEST_F(NetnsTest, ABoxHoldsOnlyItsShareOfFlows) {
    const Slot box = slot(78);
    const Slot other = slot(79);
    const Slot outside = this->outside();
    send_datagrams(box, kOutside, kPort, kFlowsPerBox + 50);
    EXPECT_LE(flows_of(box), kFlowsPerBox);
    EXPECT_GE(drops("flows"), 50U);
    const UniqueFd receiver = bound_socket(outside.netns.get(), SOCK_DGRAM, kOutside, kPort + 1);
    EXPECT_TRUE(udp_arrives(other, receiver, kOutside, kPort + 1, "none")) << "another box's";
    const UniqueFd service = bound_socket(-1, SOCK_STREAM, config_.gateway(), 53);
    EXPECT_FALSE(tcp_arrives(box, service, config_.gateway(), 53, "flows")) << "those to the host are the same";
    EXPECT_TRUE(tcp_arrives(other, service, config_.gateway(), 53, "none"));

    weaken({"name flows drop"});
    send_datagrams(box, kOutside, kPort, kFlowsPerBox + 50);
    EXPECT_GE(flows_of(box), kFlowsPerBox + 50);
}

TEST_F(NetnsTest, WhatOthersMakeOfTheFirewallIsSeen) {
    EXPECT_EQ(must(look_at_firewall(config_)), FirewallState::kWhole);
    const auto policies =
        must(Policies::load(config_, {{{config_.range.base.value + 2}, {.open = false, .allowed = {}, .denied = {}}}}));
    EXPECT_EQ(must(look_at_firewall(config_)), FirewallState::kWhole) << "a policy is no change of its rules";
    weaken({"name blocked drop"});
    EXPECT_EQ(must(look_at_firewall(config_)), FirewallState::kChanged);
    must(remove_firewall(config_));
    EXPECT_EQ(must(look_at_firewall(config_)), FirewallState::kAbsent);
}

TEST_F(NetnsTest, WhatAnotherDaemonOfTheRangeLeftIsFoundAndItsCommandsRemoveIt) {
    EXPECT_TRUE(must(find_intruders(config_)).empty());
    Config other = config_;
    other.table = other.link_prefix = "htwo";
    other.range = parse_prefix("198.19.252.0/22").value();
    must(load_firewall(other));
    const Slot left = must(make_slot(other, {other.range.base.value + 7}));
    const auto found = must(find_intruders(config_));
    ASSERT_EQ(found.size(), 2U);
    for (const Intruder& intruder : found) {
        EXPECT_EQ(intruder.name, "htwo");
        EXPECT_EQ(system(intruder.remove.c_str()), 0) << intruder.what;
    }
    EXPECT_TRUE(must(find_intruders(config_)).empty());
    EXPECT_EQ(must(look_at_firewall(other)), FirewallState::kAbsent);
}

}  // namespace
}  // namespace hutch::netns
