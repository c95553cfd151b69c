// What boxes are refused is told of: which rule it was, and of which box.

#include "netns/refused_packets.h"

#include <netinet/ip_icmp.h>

#include <map>

#include "netns/box_firewall.h"
#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

class NetnsRefusedTest : public NetnsTest {
  protected:
    void SetUp() override {
        NetnsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        refused_.emplace(must(RefusedPackets::open(config_.table)));
        box_ = whole_slot(2);
    }
    void TearDown() override {
        box_ = Slot{};
        NetnsTest::TearDown();
    }
    void udp(const Slot& from, Ipv4 to, uint16_t port) {
        send_to(plain_socket(from.netns.get(), AF_INET, SOCK_DGRAM), to, port, "x");
    }
    // On this CPU a packet is dropped, and told of, before the call that sent it ends.
    std::vector<RefusedPacket> told() {
        std::vector<RefusedPacket> all;
        for (;;) {
            const auto some = must(refused_->take());
            if (some.empty()) return all;
            all.insert(all.end(), some.begin(), some.end());
        }
    }
    RefusedPacket only_one() {
        const auto all = told();
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? RefusedPacket{} : all.front();
    }
    void expect(const std::string& chain, const std::string& protocol, Ipv4 to, uint16_t port) {
        const RefusedPacket packet = only_one();
        EXPECT_EQ(packet.chain, chain);
        EXPECT_EQ(packet.protocol, protocol);
        EXPECT_EQ(packet.from, box_.address);
        EXPECT_EQ(packet.to, to);
        EXPECT_EQ(packet.port, port);
    }

    std::optional<RefusedPackets> refused_;
    Slot box_;
};

TEST_F(NetnsRefusedTest, TheBoxesOwnTablesTellWhichRuleItWas) {
    connect_to(plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM), ip("10.1.2.3"), 443);
    expect("blocked", "tcp", ip("10.1.2.3"), 443);
    udp(box_, ip("192.168.1.1"), 53);
    expect("blocked", "udp", ip("192.168.1.1"), 53);
    const UniqueFd ping = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    send_to(ping, ip("10.1.2.3"), 0, {reinterpret_cast<const char*>(&echo), sizeof(echo)});
    expect("blocked", "icmp", ip("10.1.2.3"), 0);
    connect_to(plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM), config_.gateway(), 22);
    expect("to_host", "tcp", config_.gateway(), 22);
    must(set_box_policy(box_.netns.get(), config_, {.open = true, .allowed = {}, .denied = {{ip("8.8.0.0"), 16}}}));
    udp(box_, ip("8.8.8.8"), 53);
    expect("refused", "udp", ip("8.8.8.8"), 53);
}

TEST_F(NetnsRefusedTest, TheHostsTableTellsWhatTheBoxesOwnLetThrough) {
    const Slot box = slot(3);
    udp(box, ip("10.1.2.3"), 99);
    const RefusedPacket packet = only_one();
    EXPECT_EQ(packet.chain, "blocked");
    EXPECT_EQ(packet.from, box.address);
    EXPECT_EQ(packet.port, 99);
    udp(box, box_.address, 99);
    EXPECT_EQ(only_one().chain, "box_to_box");
}

TEST_F(NetnsRefusedTest, TooManyConnectionsAndTooManyQueriesAreTold) {
    const Slot outside = this->outside();
    constexpr uint16_t kFirst = 20'000;
    const UniqueFd sender = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
    for (uint16_t i = 0; i <= kFlowsPerBox; ++i) send_to(sender, kOutside, static_cast<uint16_t>(kFirst + i), "x");
    const auto too_many = told();
    ASSERT_FALSE(too_many.empty());
    EXPECT_EQ(too_many.front().chain, "flows");
    EXPECT_EQ(too_many.front().from, box_.address);
    for (int i = 0; i < 3000; ++i) send_to(sender, config_.gateway(), 53, "x");
    expect("too_many", "udp", config_.gateway(), 53);
}

TEST_F(NetnsRefusedTest, OneDestinationIsToldOnceThoughItIsTriedAThousandTimes) {
    for (int i = 0; i < 1000; ++i) udp(box_, ip("10.0.0.1"), 99);
    EXPECT_EQ(told().size(), 1U);
    udp(box_, ip("10.0.0.2"), 99);
    expect("blocked", "udp", ip("10.0.0.2"), 99);
}

TEST_F(NetnsRefusedTest, AFloodOfOneBoxIsBoundedAndHidesNoOthers) {
    const Slot other = whole_slot(3);
    for (uint32_t i = 0; i < 5000; ++i) udp(box_, {ip("10.0.0.0").value + i}, 99);
    connect_to(plain_socket(other.netns.get(), AF_INET, SOCK_STREAM), ip("10.0.0.1"), 99);
    std::map<Ipv4, size_t> of;
    for (const RefusedPacket& packet : told()) ++of[packet.from];
    EXPECT_GE(of[box_.address], NftRule::kToldAtOnce);
    EXPECT_LT(of[box_.address], 1000U);
    EXPECT_EQ(of[other.address], 1U);
}

// As one that an earlier daemon has made, which is taken over: no more is needed for it.
TEST_F(NetnsRefusedTest, ALaterListenerHearsOfBoxesThatAreThere) {
    refused_.reset();
    udp(box_, ip("10.0.0.1"), 99);
    refused_.emplace(must(RefusedPackets::open(config_.table)));
    EXPECT_TRUE(told().empty());
    udp(box_, ip("10.0.0.2"), 99);
    EXPECT_EQ(told().size(), 1U);
}

TEST_F(NetnsRefusedTest, TablesOfAnotherDaemonAreItsOwn) {
    Config other = config_;
    other.table = "hutchtestother";
    RefusedPackets others = must(RefusedPackets::open(other.table));
    udp(box_, ip("10.0.0.1"), 99);
    EXPECT_EQ(told().size(), 1U);
    EXPECT_TRUE(must(others.take()).empty());
}

}  // namespace
}  // namespace hutch::netns
