// What holds a box while the host's table is gone: the firewall inside its own network namespace. Each protection is
// shown twice: with it, and, as the control, without it, where the same packet must arrive.

#include "netns/box_firewall.h"

#include <functional>

#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

class NetnsBoxFirewallTest : public NetnsTest {
  protected:
    void SetUp() override {
        NetnsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        config_.service = kPort;
        box_ = whole_slot(2);
        outside_ = outside();
        must(remove_firewall(config_));
    }
    void TearDown() override {
        box_ = Slot{};
        outside_ = Slot{};
        NetnsTest::TearDown();
    }
    void set(bool open, const std::vector<std::string>& allowed, const std::vector<std::string>& denied) {
        Policy policy{.open = open, .allowed = {}, .denied = {}};
        for (const auto& text : allowed) policy.allowed.push_back(parse_network(text).value().front());
        for (const auto& text : denied) policy.denied.push_back(parse_network(text).value().front());
        must(set_box_policy(box_.netns.get(), config_, policy));
    }
    void open_the_box() {
        must(set_box_policy(box_.netns.get(), config_, {}));
        must(run_inside(box_.netns.get(), [&] { return remove_firewall(config_); }));
    }
    uint64_t drops_inside(const Slot& slot, const std::string& rule) {
        return must(run_inside(slot.netns.get(),
                               [&]() -> Result<uint64_t> { return count(TRY(run_nft("list counters")), rule); }));
    }
    /// What became of what `send` sends: a rule of the box's dropped it, or it is at the receiver.
    template <typename Send>
    bool passes(const UniqueFd& receiver, const std::string& rule, Send send) {
        const uint64_t before = drops_inside(box_, rule);
        send();
        if (drops_inside(box_, rule) > before) {
            EXPECT_FALSE(readable(receiver.get(), 0)) << "dropped and there";
            return false;
        }
        EXPECT_TRUE(readable(receiver.get())) << "neither dropped by " << rule << " nor there";
        return true;
    }
    bool udp(const UniqueFd& receiver, Ipv4 to, uint16_t port, const std::string& rule) {
        const UniqueFd sender = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
        const bool there = passes(receiver, rule, [&] { send_to(sender, to, port, "probe"); });
        if (there) receive(receiver);
        return there;
    }
    bool tcp(const UniqueFd& listener, Ipv4 to, uint16_t port, const std::string& rule) {
        const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
        const bool there = passes(listener, rule, [&] { connect_to(client, to, port); });
        if (there) UniqueFd(accept(listener.get(), nullptr, nullptr));
        return there;
    }
    /// Without either lock it is there.
    void expect_open(const UniqueFd& receiver, Ipv4 to, uint16_t port) {
        open_the_box();
        const UniqueFd sender = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
        ASSERT_TRUE(send_to(sender, to, port, "probe"));
        EXPECT_TRUE(readable(receiver.get())) << "the control: nothing else held it back";
    }

    Slot box_, outside_;
};

TEST_F(NetnsBoxFirewallTest, TcpByNameEndsAtTheHostButWhereAnAddressIsAllowed) {
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, {}, kPort);
    Policy policy{.open = false, .allowed = {}, .denied = {}};
    policy.domains = {"a.example"};
    const auto connected = [&] {
        must(set_box_policy(box_.netns.get(), config_, policy));
        UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
        const int on = 1;
        EXPECT_EQ(setsockopt(client.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
        connect_to(client, kOutside, kPort);
        pollfd entry{client.get(), POLLOUT, 0};
        EXPECT_EQ(poll(&entry, 1, kPatienceMs), 1);
        int failure = 0;
        socklen_t size = sizeof(failure);
        EXPECT_EQ(getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &failure, &size), 0);
        return failure;
    };
    EXPECT_EQ(connected(), EHOSTUNREACH) << "time exceeded (ICMP)";
    EXPECT_FALSE(readable(listener.get(), 0));
    policy.allowed = {{kOutside, 32}};
    EXPECT_EQ(connected(), 0);
    EXPECT_TRUE(readable(listener.get()));
}

TEST_F(NetnsBoxFirewallTest, TheHostIsClosedButForDnsAndTheService) {
    const Ipv4 gateway = config_.gateway();
    const UniqueFd other = bound_socket(-1, SOCK_DGRAM, {}, kPort);
    const UniqueFd listener = bound_socket(-1, SOCK_STREAM, {}, kPort + 1);
    EXPECT_FALSE(udp(other, gateway, kPort, "to_host"));
    EXPECT_FALSE(tcp(listener, gateway, kPort + 1, "to_host"));
    const UniqueFd dns = bound_socket(-1, SOCK_DGRAM, gateway, 53);
    const UniqueFd service = bound_socket(-1, SOCK_STREAM, gateway, kPort);
    EXPECT_TRUE(udp(dns, gateway, 53, "to_host"));
    EXPECT_TRUE(tcp(service, gateway, kPort, "to_host"));
    expect_open(other, gateway, kPort);
}

TEST_F(NetnsBoxFirewallTest, AFloodOfNameQueriesIsCut) {
    constexpr unsigned kQueries = 20'000;
    const UniqueFd dns = bound_socket(-1, SOCK_DGRAM, config_.gateway(), 53);
    const uint64_t before = drops_inside(box_, "too_many");
    must(run_inside(box_.netns.get(), [&]() -> Result<void> {
        const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        for (unsigned i = 0; i < kQueries; ++i) send_to(fd, config_.gateway(), 53, "query");
        return {};
    }));
    EXPECT_GT(drops_inside(box_, "too_many"), before);
}

TEST_F(NetnsBoxFirewallTest, AFloodOfPacketsIsCut) {
    config_.packets_per_second = 1000;
    const Slot flooder = whole_slot(3);
    const auto flood = [&](const Slot& from) {
        const uint64_t before = drops_inside(from, "too_many");
        must(run_inside(from.netns.get(), [&]() -> Result<void> {
            const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
            for (unsigned i = 0; i < 20'000; ++i) send_to(fd, kOutside, kPort, "flood");
            return {};
        }));
        return drops_inside(from, "too_many") > before;
    };
    EXPECT_TRUE(flood(flooder));
    config_.packets_per_second = 1'000'000;
    EXPECT_FALSE(flood(whole_slot(4))) << "the control";
}

TEST_F(NetnsBoxFirewallTest, OtherBoxesAreClosed) {
    const Slot other = slot(3);
    const UniqueFd receiver = bound_socket(other.netns.get(), SOCK_DGRAM, other.address, kPort);
    EXPECT_FALSE(udp(receiver, other.address, kPort, "blocked"));
    expect_open(receiver, other.address, kPort);
}

TEST_F(NetnsBoxFirewallTest, TheHostsAddressOnItsWayOutIsClosed) {
    const UniqueFd receiver = bound_socket(-1, SOCK_DGRAM, kOutsideGateway, kPort);
    EXPECT_TRUE(udp(receiver, kOutsideGateway, kPort, "blocked")) << "not known to be the way out";
    open_the_box();
    must(run_inside(box_.netns.get(), [&] { return load_box_firewall(config_, kOutsideGateway); }));
    EXPECT_FALSE(udp(receiver, kOutsideGateway, kPort, "blocked"));
}

TEST_F(NetnsBoxFirewallTest, PrivateNetworksAreClosedThoughThePolicyAllowsThem) {
    const UniqueFd receiver = bound_socket(outside_.netns.get(), SOCK_DGRAM, {}, kPort);
    set(false, {"10.0.0.0/8", "169.254.169.254"}, {});
    for (const char* address : {"10.77.0.1", "169.254.169.254"}) {
        add_outside_address(outside_, ip(address));
        EXPECT_FALSE(udp(receiver, ip(address), kPort, "blocked")) << address;
    }
    expect_open(receiver, ip("10.77.0.1"), kPort);
}

TEST_F(NetnsBoxFirewallTest, ThePolicyHoldsInBothDirections) {
    const UniqueFd udp_receiver = bound_socket(outside_.netns.get(), SOCK_DGRAM, {}, kPort);
    const UniqueFd listener = bound_socket(outside_.netns.get(), SOCK_STREAM, {}, kPort);
    const UniqueFd inside = bound_socket(box_.netns.get(), SOCK_DGRAM, box_.address, kPort);
    const auto is_open = [&] {
        const bool out = udp(udp_receiver, kOutside, kPort, "refused");
        EXPECT_EQ(tcp(listener, kOutside, kPort, "refused"), out);
        const bool in = passes(inside, "refused", [&] { send_to(udp_receiver, box_.address, kPort, "in"); });
        EXPECT_EQ(in, out);
        if (in) receive(inside);
        return out;
    };
    EXPECT_TRUE(is_open());
    set(false, {}, {});
    EXPECT_FALSE(is_open()) << "deny-all";
    set(false, {"198.51.100.0/24", to_string(kOutside)}, {});
    EXPECT_TRUE(is_open()) << "allowed";
    set(false, {"198.51.100.0/24"}, {to_string(kOutside)});
    EXPECT_FALSE(is_open()) << "denied wins";
    set(true, {}, {"198.51.100.0/25", "198.51.100.2/31"});
    EXPECT_FALSE(is_open()) << "denied alone";
    set(false, {"203.0.113.0/24"}, {});
    EXPECT_FALSE(is_open()) << "another network is allowed";
    set(true, {}, {});
    EXPECT_TRUE(is_open());
}

TEST_F(NetnsBoxFirewallTest, TheHostReachesABoxAndIsAnswered) {
    set(false, {}, {});
    const UniqueFd listener = bound_socket(box_.netns.get(), SOCK_STREAM, box_.address, kPort);
    const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect_to(client, box_.address, kPort), 0);
    const UniqueFd server(accept(listener.get(), nullptr, nullptr));
    ASSERT_EQ(write(server.get(), "hello", 5), 5);
    EXPECT_TRUE(readable(client.get()));
}

TEST_F(NetnsBoxFirewallTest, NobodyElseOpensAConnectionToABox) {
    const UniqueFd listener = bound_socket(box_.netns.get(), SOCK_STREAM, box_.address, kPort);
    const auto knock = [&] {
        const UniqueFd client = plain_socket(outside_.netns.get(), AF_INET, SOCK_STREAM);
        connect_to(client, box_.address, kPort);
    };
    EXPECT_FALSE(passes(listener, "uninvited", knock));
    open_the_box();
    const UniqueFd client = plain_socket(outside_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(client, box_.address, kPort);
    EXPECT_TRUE(readable(listener.get())) << "the control";
}

TEST_F(NetnsBoxFirewallTest, WhoFlushesTheHostsRulesFlushesNoBoxs) {
    const UniqueFd receiver = bound_socket(outside_.netns.get(), SOCK_DGRAM, {}, kPort);
    set(false, {}, {});
    must(load_firewall(config_));
    must(run_nft("flush table inet " + config_.table + "\ndelete table inet " + config_.table));
    EXPECT_FALSE(udp(receiver, kOutside, kPort, "refused"));
}

TEST_F(NetnsBoxFirewallTest, WhatAnEarlierDaemonLeftInsideIsMended) {
    const Policy closed{.open = false, .allowed = {}, .denied = {}};
    const Policy open{};
    const auto listing = [&] { return must(run_inside(box_.netns.get(), [] { return run_nft("list ruleset"); })); };
    const std::string fresh = listing();
    const std::vector<std::function<void()>> histories = {
        [] {},
        [&] { open_the_box(); },
        [&] { set(false, {}, {}); },
        [&] { set(true, {}, {"203.0.113.0/24"}); },
        [&] { must(run_inside(box_.netns.get(), [] { return run_nft("flush ruleset"); })); },
    };
    for (const auto& history : histories) {
        history();
        must(mend_box_firewall(box_.netns.get(), config_, closed));
        EXPECT_NE(listing().find("counter name \"refused\" drop"), std::string::npos);
        history();
        must(mend_box_firewall(box_.netns.get(), config_, open));
        EXPECT_EQ(listing(), fresh);
    }
}

TEST_F(NetnsBoxFirewallTest, LoopbackInsideIsOpen) {
    set(false, {}, {});
    for (const Ipv4 address : {ip("127.0.0.1"), box_.address}) {
        const UniqueFd receiver = bound_socket(box_.netns.get(), SOCK_DGRAM, address, kPort);
        EXPECT_TRUE(udp(receiver, address, kPort, "refused")) << to_string(address);
    }
}

}  // namespace
}  // namespace hutch::netns
