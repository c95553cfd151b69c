// What a box's own policy closes, on connections that are there as on new ones. Each protection is shown twice: with
// the whole firewall, and, as the control, without the rule in question.

#include "netns/names.h"
#include "netns/policy.h"

#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

Policy only(const std::vector<std::string>& allowed, const std::vector<std::string>& denied = {}) {
    Policy policy{.open = false, .allowed = {}, .denied = {}};
    for (const auto& text : allowed) policy.allowed.push_back(parse_network(text).value().front());
    for (const auto& text : denied) policy.denied.push_back(parse_network(text).value().front());
    return policy;
}

Policy all_but(const std::vector<std::string>& denied) {
    Policy policy = only({}, denied);
    policy.open = true;
    return policy;
}

class NetnsPolicyTest : public NetnsTest {
  protected:
    void SetUp() override {
        NetnsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        policies_ = must(Policies::load(config_, {}));
        box_ = slot(2);
        outside_ = outside();
        add_outside_address(outside_, kOther);
        udp_ = bound_socket(outside_.netns.get(), SOCK_DGRAM, {}, kPort);
        tcp_ = bound_socket(outside_.netns.get(), SOCK_STREAM, {}, kPort);
    }
    void TearDown() override {
        box_ = Slot{};
        outside_ = Slot{};
        NetnsTest::TearDown();
    }
    void set(const Policy& policy) { must(policies_->set(box_.address, policy)); }
    bool reaches(Ipv4 target) {
        const bool udp = udp_arrives(box_, udp_, target, kPort, "refused");
        EXPECT_EQ(tcp_arrives(box_, tcp_, target, kPort, "refused"), udp);
        return udp;
    }
    /// The firewall without the rules that contain one of these texts, with this policy of the box.
    void weaken_with(const std::vector<std::string>& rules, const Policy& policy) {
        weaken(rules);
        must(run_nft(policy_commands(config_, box_.address, {}, policy)));
    }

    static constexpr Ipv4 kOther{0xCB00714D};  // 203.0.113.77
    std::unique_ptr<Policies> policies_;
    Slot box_, outside_;
    UniqueFd udp_, tcp_;
};

TEST_F(NetnsPolicyTest, DenyAllClosesTheBoxAndOnlyIt) {
    const Slot other = slot(3);
    EXPECT_TRUE(reaches(kOutside));
    set(only({}));
    EXPECT_FALSE(reaches(kOutside));
    EXPECT_TRUE(udp_arrives(other, udp_, kOutside, kPort, "none"));
    set({});
    EXPECT_TRUE(reaches(kOutside));

    weaken_with({"name refused drop"}, only({}));
    EXPECT_TRUE(reaches(kOutside));
}

TEST_F(NetnsPolicyTest, AFlowThatWasThereStopsInBothDirections) {
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
    ASSERT_TRUE(send_to(client, kOutside, kPort, "question"));
    const auto question = receive(udp_);
    ASSERT_TRUE(question);
    const auto send_answer = [&] { send_to(udp_, question->from, question->port, "answer"); };
    const auto ask_again = [&] { send_to(client, kOutside, kPort, "more"); };
    EXPECT_TRUE(arrives(client, "none", send_answer));
    receive(client);

    set(only({}));
    EXPECT_FALSE(arrives(client, "refused", send_answer)) << "conntrack still knows the flow";
    EXPECT_FALSE(arrives(udp_, "refused", ask_again));

    weaken_with({"jump to_policed"}, only({}));
    EXPECT_TRUE(arrives(client, "none", send_answer));
    receive(client);
}

TEST_F(NetnsPolicyTest, AConnectionThatWasThereStops) {
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(client, kOutside, kPort);
    ASSERT_TRUE(readable(tcp_.get()));
    const UniqueFd server(accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    set(all_but({to_string(kOutside)}));
    EXPECT_FALSE(arrives(server, "refused", [&] { ASSERT_EQ(write(client.get(), "out", 3), 3); }));
    EXPECT_FALSE(arrives(client, "refused", [&] { ASSERT_EQ(write(server.get(), "in", 2), 2); }));
}

TEST_F(NetnsPolicyTest, AnAllowedNetworkIsAllThereIs) {
    set(only({"203.0.113.0/24"}));
    EXPECT_TRUE(reaches(kOther));
    EXPECT_FALSE(reaches(kOutside));
}

TEST_F(NetnsPolicyTest, ADeniedNetworkIsClosedThoughItBeAllowed) {
    set(all_but({"203.0.113.64/26"}));
    EXPECT_FALSE(reaches(kOther));
    EXPECT_TRUE(reaches(kOutside));
    set(only({"203.0.113.0/24", to_string(kOutside)}, {to_string(kOther)}));
    EXPECT_FALSE(reaches(kOther));
    EXPECT_TRUE(reaches(kOutside));

    weaken_with({"@denied jump refused", "@denied counter name refused drop"}, all_but({"203.0.113.64/26"}));
    EXPECT_TRUE(reaches(kOther));
}

TEST_F(NetnsPolicyTest, PrivateNetworksStayBlockedThoughTheyBeAllowed) {
    add_outside_address(outside_, ip("10.77.0.1"));
    add_outside_address(outside_, ip("169.254.169.254"));
    set(only({"10.0.0.0/8", "169.254.169.254"}));
    EXPECT_FALSE(udp_arrives(box_, udp_, ip("10.77.0.1"), kPort, "blocked"));
    EXPECT_FALSE(udp_arrives(box_, udp_, ip("169.254.169.254"), kPort, "blocked"));
}

TEST_F(NetnsPolicyTest, NetworksMayOverlapAndReplaceEachOther) {
    set(only({"203.0.0.0/8", "203.0.113.0/24", "203.0.113.77", "203.0.113.77"}));
    EXPECT_TRUE(reaches(kOther));
    set(only({"203.0.113.0/24"}));
    EXPECT_TRUE(reaches(kOther));
    set(only({"203.0.0.0/8"}, {"203.0.113.0/24", "203.0.113.77"}));
    EXPECT_FALSE(reaches(kOther));
    set(only(std::vector<std::string>(1, "203.0.113.76/31")));
    EXPECT_TRUE(reaches(kOther));
    set({});
    for (const char* set : {" policed", " allowed", " denied"}) {
        const std::string left = must(run_nft("list set inet " + config_.table + set));
        EXPECT_EQ(left.find("elements"), std::string::npos) << left;
    }
}

TEST_F(NetnsPolicyTest, TheFirewallIsLoadedWithThePolicies) {
    std::map<Ipv4, Policy> known{{box_.address, only({})}, {Ipv4{box_.address.value + 1}, all_but({"192.0.2.0/24"})}};
    policies_ = must(Policies::load(config_, known));
    EXPECT_FALSE(reaches(kOutside));
    EXPECT_EQ(policies_->may_ask(box_.address), MayAsk::kNothing);
    must(policies_->keep_only({box_.address}));
    EXPECT_FALSE(reaches(kOutside));
    must(policies_->lift(box_.address));
    EXPECT_TRUE(reaches(kOutside));
    EXPECT_EQ(policies_->may_ask(box_.address), MayAsk::kEverything);
    EXPECT_EQ(must(run_nft("list table inet " + config_.table)).find("192.0.2"), std::string::npos);
}

TEST_F(NetnsPolicyTest, NamesLeadWhereTheirAnswersMayLead) {
    Policy policy = only({});
    policy.domains = {"a.example"};
    set(policy);
    const Ipv4 box = box_.address;
    Names names(config_, *policies_);
    const std::vector<DnsAddress> answered{
        {kOutside, 5}, {ip("10.0.0.1"), 5}, {ip("169.254.169.254"), 5}, {kOutsideGateway, 5}, {ip("127.0.0.1"), 5}};
    EXPECT_EQ(names.learn(box, "a.example", answered), (std::vector<DnsAddress>{{kOutside, 5}}));
    EXPECT_TRUE(names.learn(box, "b.example", answered).empty());
    const auto led = names.led_to(box, kOutside);
    EXPECT_EQ(led, std::vector<std::string>{"a.example"});
    EXPECT_EQ(names.judge(box, kOutside, led), Egress::kPasses);
    EXPECT_EQ(names.judge(box, kOutside, led, "A.example."), Egress::kPasses);
    EXPECT_EQ(names.judge(box, kOutside, led, "b.example"), Egress::kOtherName);
    EXPECT_EQ(names.judge(box, kOutside, led, ""), Egress::kNoName);
    EXPECT_EQ(names.judge(box, kOther, names.led_to(box, kOther)), Egress::kNotAllowed);
    EXPECT_EQ(names.judge(box, kOutsideGateway, led), Egress::kClosed);
    policy.domains = {"b.example"};
    set(policy);
    EXPECT_EQ(names.judge(box, kOutside, led, "a.example"), Egress::kNotAllowed);
    policy.denied = {{kOutside, 32}};
    policy.domains = {"a.example"};
    set(policy);
    EXPECT_EQ(names.judge(box, kOutside, led, "a.example"), Egress::kDenied);
    set({});
    EXPECT_TRUE(names.led_to(box, kOutside).empty());
    EXPECT_EQ(names.judge(box, kOutside, {}, "c.example"), Egress::kPasses);
}

TEST_F(NetnsPolicyTest, WhatCannotBeSetLeavesTheOldPolicyInForce) {
    set(only({}));
    must(remove_firewall(config_));
    // A table with an owner goes with the socket that made it, and is nobody else's to change.
    const NftSocket owner = must(nft_socket());
    NftMessage owned(NFT_MSG_NEWTABLE, NLM_F_CREATE);
    owned.name(NFTA_TABLE_NAME, config_.table).number(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
    must(nft_commit(owner.get(), one(Request{"owning the table", std::move(owned).release()})));
    EXPECT_FALSE(policies_->set(box_.address, {}).ok());
    EXPECT_EQ(policies_->may_ask(box_.address), MayAsk::kNothing);
}

TEST_F(NetnsPolicyTest, WhatOthersChangeIsToldApartFromOurOwn) {
    auto events = must(NftEvents::open(config_.table));
    const auto told = [&] {
        EXPECT_TRUE(readable(events.fd()));
        return must(events.take()).value();
    };
    set(only({"203.0.113.0/24"}));
    for (const NftCommit& commit : told()) EXPECT_TRUE(policies_->made(commit));
    must(policies_->restore());
    for (const NftCommit& commit : told()) EXPECT_TRUE(policies_->made(commit));

    must(run_nft("table inet hutchtest2 {}\ndelete table inet hutchtest2"));
    must(run_nft("flush chain inet " + config_.table + " from_policed"));
    const auto commits = told();
    ASSERT_EQ(commits.size(), 1U) << "another table is none of our business";
    EXPECT_FALSE(policies_->made(commits[0]));
    EXPECT_EQ(commits[0].program, "nft");
}

TEST_F(NetnsPolicyTest, ATableThatOthersRemovedIsPutBackWithAllPolicies) {
    set(only({}));
    must(remove_firewall(config_));
    must(policies_->restore());
    EXPECT_FALSE(reaches(kOutside));
    EXPECT_EQ(policies_->restored(), 1U);
}

TEST_F(NetnsPolicyTest, APolicyCanBeSetWhileTheTableIsGone) {
    must(policies_->set({box_.address.value + 1}, only({})));
    must(remove_firewall(config_));
    set(only({}));
    EXPECT_FALSE(reaches(kOutside));
    EXPECT_NE(must(run_nft("list set inet " + config_.table + " policed")).find("198.19.240.3"), std::string::npos)
        << "that of another box is back, too";
}

}  // namespace
}  // namespace hutch::netns
