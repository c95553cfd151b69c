// Boxes' connections that the host passes on: the way to the relay, what stays closed on it, and the relay itself. Each
// protection is shown twice: with the whole firewall, and, as the control, without the rule in question.

#include <netinet/in.h>

#include <linux/netfilter_ipv4.h>  // which leaves out what that has defined

#include <mutex>
#include <thread>

#include "daemon/egress/relay.h"
#include "netns/box_firewall.h"
#include "netns/dns_socket.h"
#include "netns/policy.h"
#include "tests/kernel/netns_fixture.h"

namespace hutch::netns {
namespace {

using daemon::Flow;
using daemon::Relay;
using daemon::Verdict;

constexpr uint16_t kRelayed = 443;

Policy relayed(Policy policy = {}) {
    policy.relayed = {kRelayed};
    return policy;
}

Policy without(const char* network) {
    return relayed({.open = true, .allowed = {}, .denied = parse_network(network).value()});
}

class NetnsRelayTest : public NetnsTest {
  protected:
    void SetUp() override {
        NetnsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        policies_ = must(Policies::load(config_, {}));
        box_ = slot(2);
        outside_ = outside();
        server_ = bound_socket(outside_.netns.get(), SOCK_STREAM, {}, kRelayed);
        must(policies_->set(box_.address, relayed()));
    }
    void TearDown() override {
        relay_.reset();
        box_ = Slot{};
        outside_ = Slot{};
        NetnsTest::TearDown();
    }
    /// In place of the relay.
    UniqueFd listen_as_relay() { return must(gateway_socket(SOCK_STREAM, config_.gateway(), config_.relay)); }
    void set(const Policy& policy) { must(policies_->set(box_.address, policy)); }
    void weaken_with(const std::vector<std::string>& rules, const Policy& policy) {
        weaken(rules);
        must(run_nft(policy_commands(config_, box_.address, {}, policy)));
    }
    bool comes_to(const UniqueFd& relay, Ipv4 to, const std::string& rule) {
        return tcp_arrives(box_, relay, to, kRelayed, rule);
    }

    /// A relay that does with each connection what `verdict_` says.
    void start_relay() {
        relay_ = must(Relay::start(
            config_, *policies_,
            [this](const Flow& flow) {
                const std::lock_guard lock(mutex_);
                judged_.push_back(flow);
                return verdict_;
            },
            nullptr));
    }
    Flow last_judged() {
        const std::lock_guard lock(mutex_);
        return judged_.empty() ? Flow{} : judged_.back();
    }
    void judge_from_now_on(Verdict verdict) {
        const std::lock_guard lock(mutex_);
        verdict_ = verdict;
    }
    UniqueFd connected() {
        UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
        connect_to(client, kOutside, kRelayed);
        pollfd entry{client.get(), POLLOUT, 0};
        EXPECT_EQ(poll(&entry, 1, kPatienceMs), 1);
        return client;
    }
    UniqueFd accepted() {
        EXPECT_TRUE(readable(server_.get())) << "nobody has connected";
        return UniqueFd(accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    /// All that comes, at least so much, or until the end.
    static std::string read_from(const UniqueFd& fd, size_t size) {
        std::string all;
        char buffer[65536];
        while (all.size() < size && readable(fd.get())) {
            const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
            if (got <= 0) break;
            all.append(buffer, static_cast<size_t>(got));
        }
        return all;
    }
    /// 0: at its end; -errno: broken off; positive: something has come.
    static ssize_t end_of(const UniqueFd& fd) {
        char byte = 0;
        EXPECT_TRUE(readable(fd.get())) << "it goes on";
        const ssize_t got = read(fd.get(), &byte, 1);
        return got < 0 ? -errno : got;
    }
    static void say(const UniqueFd& fd, std::string_view text) {
        ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }

    static constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: One.Example:443\r\n\r\n";
    std::unique_ptr<Policies> policies_;
    std::unique_ptr<Relay> relay_;
    Slot box_, outside_;
    UniqueFd server_;

  private:
    std::mutex mutex_;
    std::vector<Flow> judged_;
    Verdict verdict_ = Verdict::kPass;
};

// --- the way there ---

TEST_F(NetnsRelayTest, AConnectionArrivesWithTheDestinationThatItHad) {
    const UniqueFd relay = listen_as_relay();
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(client, kOutside, kRelayed);
    ASSERT_TRUE(readable(relay.get()));
    const UniqueFd here(accept4(relay.get(), nullptr, nullptr, SOCK_CLOEXEC));
    sockaddr_in original{};
    socklen_t size = sizeof(original);
    ASSERT_EQ(getsockopt(here.get(), SOL_IP, SO_ORIGINAL_DST, &original, &size), 0);
    EXPECT_EQ(to_string(address_of(original)), to_string(kOutside));
    EXPECT_EQ(ntohs(original.sin_port), kRelayed);

    weaken_with({"dnat ip to"}, relayed());
    EXPECT_FALSE(tcp_arrives(box_, server_, kOutside, kRelayed, "around_relay")) << "nor does it go around it";
    weaken_with({"dnat ip to", "around_relay reject"}, relayed());
    EXPECT_TRUE(tcp_arrives(box_, server_, kOutside, kRelayed, "none"));
}

TEST_F(NetnsRelayTest, OnlyWhatIsRelayedGoesThere) {
    const UniqueFd relay = listen_as_relay();
    const Slot other = slot(3);
    EXPECT_TRUE(tcp_arrives(other, server_, kOutside, kRelayed, "none"));
    const UniqueFd elsewhere = bound_socket(outside_.netns.get(), SOCK_STREAM, {}, kPort);
    EXPECT_TRUE(tcp_arrives(box_, elsewhere, kOutside, kPort, "none"));
    EXPECT_FALSE(readable(relay.get(), 0));
}

TEST_F(NetnsRelayTest, NobodyElseComesToTheRelay) {
    const UniqueFd relay = listen_as_relay();
    EXPECT_FALSE(tcp_arrives(box_, relay, config_.gateway(), config_.relay, "to_host"));
    EXPECT_FALSE(tcp_arrives(box_, relay, config_.gateway(), kRelayed, "to_host")) << "the gateway is not relayed";
    EXPECT_FALSE(tcp_arrives(outside_, relay, config_.gateway(), config_.relay, "outsider"));
    weaken_with({"goto box_to_host", "name outsider drop"}, relayed());
    EXPECT_TRUE(tcp_arrives(box_, relay, config_.gateway(), config_.relay, "none"));
}

TEST_F(NetnsRelayTest, WhatIsClosedToAllBoxesStaysClosed) {
    const UniqueFd relay = listen_as_relay();
    const Slot other = slot(3);
    EXPECT_FALSE(comes_to(relay, other.address, "blocked")) << "another box";
    EXPECT_FALSE(comes_to(relay, ip("10.0.0.1"), "blocked"));
    EXPECT_FALSE(comes_to(relay, ip("169.254.169.254"), "blocked"));
    EXPECT_FALSE(comes_to(relay, kOutsideGateway, "to_host")) << "the host's own address";
    weaken_with({"goto to_relay"}, relayed());
    EXPECT_TRUE(comes_to(relay, ip("10.0.0.1"), "none"));
    EXPECT_TRUE(comes_to(relay, kOutsideGateway, "none"));
}

TEST_F(NetnsRelayTest, WhatTheBoxsPolicyRefusesStaysClosed) {
    const UniqueFd relay = listen_as_relay();
    set(without("198.51.100.0/24"));
    EXPECT_FALSE(comes_to(relay, kOutside, "refused"));
    set(relayed({.open = false, .allowed = {}, .denied = {}}));
    EXPECT_FALSE(comes_to(relay, kOutside, "refused"));
    weaken_with({"goto to_relay", "jump to_policed"}, without("198.51.100.0/24"));
    EXPECT_TRUE(comes_to(relay, kOutside, "none"));
}

TEST_F(NetnsRelayTest, AChangeOfThePolicyStopsWhatIsThereInBothDirections) {
    const UniqueFd relay = listen_as_relay();
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(client, kOutside, kRelayed);
    ASSERT_TRUE(readable(relay.get()));
    const UniqueFd here(accept4(relay.get(), nullptr, nullptr, SOCK_CLOEXEC));
    set(without("198.51.100.0/24"));
    EXPECT_FALSE(arrives(here, "refused", [&] { say(client, "out"); }));
    EXPECT_FALSE(arrives(client, "refused", [&] { say(here, "in"); }));
    weaken_with({"goto to_relay", "jump to_policed"}, without("198.51.100.0/24"));
    EXPECT_TRUE(arrives(client, "none", [&] { say(here, "more"); }));
}

TEST_F(NetnsRelayTest, AConnectionFromBeforeEnds) {
    set({});
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(client, kOutside, kRelayed);
    const UniqueFd server = accepted();
    set(relayed());
    EXPECT_FALSE(arrives(server, "around_relay", [&] { say(client, "more"); }));
    EXPECT_EQ(end_of(client), -ECONNRESET) << "and its client hears of it";
}

TEST_F(NetnsRelayTest, NothingGoesAroundItByUdp) {
    const UniqueFd quic = bound_socket(outside_.netns.get(), SOCK_DGRAM, {}, kRelayed);
    EXPECT_FALSE(udp_arrives(box_, quic, kOutside, kRelayed, "around_relay"));
    const UniqueFd client = plain_socket(box_.netns.get(), AF_INET, SOCK_DGRAM);
    connect_to(client, kOutside, kRelayed);
    say(client, "x");
    EXPECT_EQ(end_of(client), -ECONNREFUSED) << "and its client hears of it";
    set({});
    EXPECT_TRUE(udp_arrives(box_, quic, kOutside, kRelayed, "none"));
}

TEST_F(NetnsRelayTest, TheLimitOfConnectionsIsTheSame) {
    const UniqueFd relay = listen_as_relay();
    std::string text = ruleset(config_);
    const std::string over = "ct count over " + std::to_string(kFlowsPerBox);
    for (size_t at = text.find(over); at != std::string::npos; at = text.find(over)) {
        text.replace(at, over.size(), "ct count over 1");
    }
    must(run_nft(text));
    must(run_nft(policy_commands(config_, box_.address, {}, relayed())));
    const UniqueFd first = plain_socket(box_.netns.get(), AF_INET, SOCK_STREAM);
    connect_to(first, kOutside, kRelayed);
    ASSERT_TRUE(readable(relay.get()));
    const UniqueFd here(accept4(relay.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_FALSE(comes_to(relay, kOutside, "flows"));
}

TEST_F(NetnsRelayTest, ABoxsOwnFirewallStillSeesWhereItGoes) {
    const UniqueFd relay = listen_as_relay();
    const Slot whole = whole_slot(4);
    must(policies_->set(whole.address, relayed()));
    const auto comes_out = [&](Ipv4 to) {
        const uint64_t before = drops();
        const UniqueFd client = plain_socket(whole.netns.get(), AF_INET, SOCK_STREAM);
        connect_to(client, to, kRelayed);
        const UniqueFd here(accept(relay.get(), nullptr, nullptr));
        EXPECT_EQ(drops(), before) << "the host's table has seen it";
        return static_cast<bool>(here);
    };
    EXPECT_TRUE(comes_out(kOutside));
    EXPECT_FALSE(comes_out(ip("10.0.0.1")));
    must(set_box_policy(whole.netns.get(), config_, without("198.51.100.0/24")));
    EXPECT_FALSE(comes_out(kOutside));
    must(set_box_policy(whole.netns.get(), config_, relayed()));
    EXPECT_TRUE(comes_out(kOutside));
}

// --- the relay ---

TEST_F(NetnsRelayTest, PassesBytesOnBothWaysAndEachEnd) {
    start_relay();
    const UniqueFd client = connected();
    say(client, kRequest);
    const UniqueFd server = accepted();
    EXPECT_EQ(read_from(server, kRequest.size()), kRequest);
    const Flow flow = last_judged();
    EXPECT_EQ(flow.name, "one.example");
    EXPECT_EQ(to_string(flow.address), to_string(kOutside));
    EXPECT_EQ(to_string(flow.box), to_string(box_.address));
    EXPECT_FALSE(flow.tls);
    shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(end_of(server), 0) << "the server hears that no more is sent";
    say(server, "the answer");
    EXPECT_EQ(read_from(client, 10), "the answer") << "and can still answer";
    shutdown(server.get(), SHUT_WR);
    EXPECT_EQ(end_of(client), 0);
}

TEST_F(NetnsRelayTest, LosesNothingOfMuch) {
    start_relay();
    const UniqueFd client = connected();
    say(client, kRequest);
    const UniqueFd server = accepted();
    read_from(server, kRequest.size());
    constexpr size_t kMuch = 8 << 20;
    std::thread writer([&] {
        const std::string piece(64 * 1024, 'x');
        for (size_t sent = 0; sent < kMuch; sent += piece.size()) {
            if (write(server.get(), piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) break;
        }
        shutdown(server.get(), SHUT_WR);
    });
    EXPECT_EQ(read_from(client, kMuch + 1).size(), kMuch);
    writer.join();
}

TEST_F(NetnsRelayTest, TellsWhoIsRefused) {
    start_relay();
    judge_from_now_on(Verdict::kRefuse);
    const UniqueFd client = connected();
    say(client, kRequest);
    EXPECT_TRUE(read_from(client, 1000).starts_with("HTTP/1.1 403 "));
    EXPECT_FALSE(readable(server_.get(), 0)) << "nobody has connected to the server";
}

TEST_F(NetnsRelayTest, JudgesWhatIsOpenAgain) {
    start_relay();
    const UniqueFd client = connected();
    say(client, kRequest);
    const UniqueFd server = accepted();
    read_from(server, kRequest.size());
    relay_->reconsider(box_.address);
    say(client, "more");
    EXPECT_EQ(read_from(server, 4), "more") << "what is judged as before goes on";
    judge_from_now_on(Verdict::kRefuse);
    relay_->reconsider(box_.address);
    EXPECT_EQ(end_of(server), -ECONNRESET);
    EXPECT_LE(end_of(client), 0);
}

// Whoever had its address before may have had headers attached.
TEST_F(NetnsRelayTest, OfABoxThatIsThereForItsNamesAloneNobodyElseIsAsked) {
    Policy policy;
    policy.open = false;
    policy.domains = {"one.example"};
    ASSERT_TRUE(policies_->set(box_.address, policy).ok());
    policies_->learned().learn(box_.address, kOutside, "one.example", Clock::now() + std::chrono::hours(1));
    judge_from_now_on(Verdict::kIntercept);
    start_relay();
    const UniqueFd client = connected();
    say(client, kRequest);
    const UniqueFd server = accepted();
    EXPECT_EQ(read_from(server, kRequest.size()), kRequest);
    EXPECT_EQ(last_judged().port, 0);
}

TEST_F(NetnsRelayTest, CutsWhatANewPolicyRefusesAndWhatABoxLeaves) {
    start_relay();
    for (const Policy& change : {without("198.51.100.0/24"), Policy{}}) {
        set(relayed());
        const UniqueFd client = connected();
        say(client, kRequest);
        const UniqueFd server = accepted();
        read_from(server, kRequest.size());
        set(change);
        EXPECT_EQ(end_of(server), -ECONNRESET);
    }
}

TEST_F(NetnsRelayTest, WithoutItNothingIsReached) {
    const UniqueFd client = connected();
    EXPECT_EQ(end_of(client), -ECONNREFUSED);
    EXPECT_FALSE(readable(server_.get(), 0));
    start_relay();
    const UniqueFd second = connected();
    say(second, kRequest);
    const UniqueFd server = accepted();
    read_from(server, kRequest.size());
    relay_.reset();
    EXPECT_EQ(end_of(server), -ECONNRESET) << "its end is theirs";
}

TEST_F(NetnsRelayTest, ABoxHasSoManyConnections) {
    start_relay();
    std::vector<UniqueFd> clients;
    for (size_t i = 0; i < Relay::kMostOfBox; ++i) clients.push_back(connected());
    const UniqueFd one_more = connected();
    EXPECT_EQ(end_of(one_more), -ECONNRESET);
    clients.pop_back();
    const auto passes = [&] {
        const UniqueFd client = connected();
        if (write(client.get(), kRequest.data(), kRequest.size()) < 0) return false;
        const UniqueFd server(readable(server_.get(), 1000) ? accept(server_.get(), nullptr, nullptr) : -1);
        return static_cast<bool>(server);
    };
    EXPECT_TRUE(passes() || passes()) << "when one has left, another may come";
}

}  // namespace
}  // namespace hutch::netns
