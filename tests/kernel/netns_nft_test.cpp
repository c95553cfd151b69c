// The two ways to nf_tables: messages, and the program nft. Each test has a network namespace of its own.

#include "netns/nft.h"

#include <regex>

#include "netns/box_firewall.h"
#include "netns/nft_batch.h"
#include "netns/nft_socket.h"
#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

class NetnsNftTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        netns_ = must(on_own_thread(enter_new));
    }
    template <typename Work>
    auto inside(Work work) {
        return must(run_inside(netns_.get(), work));
    }
    /// Without the counters whose names are hashes.
    std::string listing() {
        const std::string all = inside([] { return run_nft("list ruleset"); });
        return std::regex_replace(all, std::regex("\tcounter made_of_[0-9]+ \\{[^}]*\\}\n\n?"), "");
    }
    std::string listing_of(const std::string& text) {
        inside([&] { return run_nft("flush ruleset\n" + text); });
        return listing();
    }

    UniqueFd netns_;
};

TEST_F(NetnsNftTest, ATransactionIsAppliedWholeOrNotAtAllAndNamesWhatIsWrong) {
    NftBatch batch("t");
    batch.create_table();
    batch.add_chain("first");
    batch.add_rule("first", NftRule().to_any_of("missing").drop());
    batch.add_element("missing", "a thing", wire(Ipv4{1}), wire(Ipv4{1}));
    inside([&]() -> Result<void> {
        const NftSocket socket = TRY(nft_socket());
        const auto committed = nft_commit(socket.get(), batch.messages());
        EXPECT_EQ(committed.ok() ? "" : committed.error().message,
                  "adding a rule to the chain first of the table inet t: No such file or directory");
        EXPECT_FALSE(TRY(nft_has_table(socket.get(), "t")));
        NftBatch right("t");
        right.create_table();
        right.add_counter("c");
        TRY(nft_commit(socket.get(), right.messages()));
        EXPECT_TRUE(TRY(nft_has_table(socket.get(), "t")));
        EXPECT_TRUE(TRY(nft_has_counter(socket.get(), "t", "c")));
        EXPECT_FALSE(TRY(nft_has_counter(socket.get(), "t", "d")));
        return {};
    });
}

TEST_F(NetnsNftTest, MoreRefusalsThanTheSocketHoldsAreOneErrorAndLeaveNothingBehind) {
    NftBatch batch("t");
    for (uint32_t i = 0; i < 4096; ++i) batch.delete_element("missing", "a thing", wire(Ipv4{i}), wire(Ipv4{i}));
    inside([&]() -> Result<void> {
        const NftSocket socket = TRY(nft_socket());
        EXPECT_EQ(nft_commit(socket.get(), batch.messages()).error().message,
                  "deleting a thing from the set missing of the table inet t: No such file or directory");
        NftBatch right("t");
        right.create_table();
        TRY(nft_commit(socket.get(), right.messages()));
        EXPECT_TRUE(TRY(nft_has_table(socket.get(), "t")));
        return {};
    });
}

TEST_F(NetnsNftTest, WhatNftRefusesIsToldInItsOwnWords) {
    const auto refused = run_inside(netns_.get(), [] { return run_nft("add table inet t\nadd rule inet t x accept"); });
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().message.find("nft: "), 0U);
    EXPECT_NE(refused.error().message.find("No such file or directory"), std::string::npos) << refused.error().message;
    EXPECT_EQ(inside([] { return run_nft("list ruleset"); }), "");
}

TEST_F(NetnsNftTest, ABoxsFirewallIsWhatItsTextWouldBe) {
    Config config;
    config.service = 8092;
    const Policy policy{.open = false,
                        .allowed = {parse_prefix("203.0.113.0/24").value(), parse_prefix("255.0.0.0/8").value()},
                        .denied = {parse_prefix("203.0.113.8/32").value()}};
    inside([&] { return load_box_firewall(config, ip("198.51.100.1")); });
    must(set_box_policy(netns_.get(), config, policy));
    const std::string made = listing();
    EXPECT_EQ(made, listing_of(R"(table inet hutch {
    counter blocked {}
    counter uninvited {}
    counter to_host {}
    counter too_many {}
    set blocked {
        type ipv4_addr
        flags interval
        elements = { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16,
                     198.18.0.0/16, 198.51.100.1, 224.0.0.0/3 }
    }
    set told {
        type ipv4_addr . inet_proto . inet_service
        size 256
        flags dynamic, timeout
        timeout 10s
        gc-interval 30s
    }
    chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        limit rate over 20000/second burst 5000 packets goto too_many
        ip daddr 198.18.0.1 goto to_host
        ip daddr @blocked goto blocked
        meta nfproto ipv4 accept
    }
    chain to_host {
        udp dport 53 limit rate over 1000/second burst 1000 packets goto too_many
        udp dport 53 accept
        tcp dport 53 accept
        tcp dport 8092 accept
        tcp flags & (syn | ack) != syn accept
        icmp type echo-reply accept
        icmp type destination-unreachable accept
        meta l4proto != icmp ip daddr . meta l4proto . th dport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th dport } meta nftrace set 1 counter name to_host drop
        meta l4proto icmp ip daddr . meta l4proto . th sport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th sport } meta nftrace set 1 counter name to_host drop
        counter name to_host drop
    }
    chain blocked {
        meta l4proto != icmp ip daddr . meta l4proto . th dport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th dport } meta nftrace set 1 counter name blocked drop
        meta l4proto icmp ip daddr . meta l4proto . th sport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th sport } meta nftrace set 1 counter name blocked drop
        counter name blocked drop
    }
    chain too_many {
        meta l4proto != icmp ip daddr . meta l4proto . th dport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th dport } meta nftrace set 1 counter name too_many drop
        meta l4proto icmp ip daddr . meta l4proto . th sport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th sport } meta nftrace set 1 counter name too_many drop
        counter name too_many drop
    }
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ip saddr 198.18.0.1 accept
        icmp type destination-unreachable accept
        icmp type time-exceeded accept
        tcp flags & (syn | ack) == syn counter name uninvited drop
        ip saddr @blocked counter name blocked drop
        meta nfproto ipv4 accept
    }
}
table inet hutch_policy {
    counter refused {}
    set denied {
        type ipv4_addr
        flags interval
        elements = { 203.0.113.8 }
    }
    set allowed {
        type ipv4_addr
        flags interval
        elements = { 203.0.113.0/24, 255.0.0.0/8 }
    }
    set told {
        type ipv4_addr . inet_proto . inet_service
        size 256
        flags dynamic, timeout
        timeout 10s
        gc-interval 30s
    }
    chain refused {
        meta l4proto != icmp ip daddr . meta l4proto . th dport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th dport } meta nftrace set 1 counter name refused drop
        meta l4proto icmp ip daddr . meta l4proto . th sport != @told limit rate 5/second burst 20 packets add @told { ip daddr . meta l4proto . th sport } meta nftrace set 1 counter name refused drop
        counter name refused drop
    }
    chain output {
        type filter hook output priority filter; policy accept;
        oifname "lo" accept
        ip daddr 198.18.0.1 accept
        ip daddr @denied goto refused
        ip daddr != @allowed goto refused
    }
    chain input {
        type filter hook input priority filter; policy accept;
        iifname "lo" accept
        ip saddr 198.18.0.1 accept
        icmp type destination-unreachable accept
        icmp type time-exceeded accept
        ip saddr @denied counter name refused drop
        ip saddr != @allowed counter name refused drop
    }
}
)"));
}

TEST_F(NetnsNftTest, ElementsOfAPolicyAreWhatItsTextWouldBe) {
    Config config;
    const Ipv4 box = ip("198.18.0.7");
    const Policy closed{.open = false,
                        .allowed = {parse_prefix("203.0.113.0/24").value(), parse_prefix("192.0.2.1/32").value()},
                        .denied = {parse_prefix("203.0.113.8/32").value()}};
    const Policy open{.open = true, .allowed = {}, .denied = {parse_prefix("203.0.113.8/32").value()}};
    const std::pair<Policy, Policy> changes[] = {{{}, closed}, {closed, open}, {open, closed}, {closed, {}}};
    for (const auto& [from, to] : changes) {
        const std::string before = ruleset(config) + policy_commands(config, box, {}, from);
        const std::string by_text = listing_of(before + policy_commands(config, box, from, to));
        listing_of(before);
        inside([&, from = from, to = to]() -> Result<void> {
            const NftSocket socket = TRY(nft_socket());
            return nft_commit(socket.get(), policy_batch(config, box, from, to).messages());
        });
        const std::string by_messages = listing();
        EXPECT_TRUE(by_messages == by_text) << by_messages;
    }
}

}  // namespace
}  // namespace hutch::netns
