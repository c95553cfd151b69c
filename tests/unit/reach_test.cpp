#include "daemon/box/reach.h"

#include <gtest/gtest.h>

#include "netns/firewall.h"
#include "netns/known_names.h"

namespace hutch::daemon {
namespace {

netns::Ipv4 ipv4_of(const std::string& text) {
    return netns::parse_ipv4(text).value();
}

const netns::Config kNetwork{.service = 8092};
const netns::Ipv4 kOwn = ipv4_of("198.18.0.7");

std::string met(const std::string& destination, uint16_t port, const netns::Policy& policy = {}) {
    const auto obstacle = obstacle_to(kNetwork, kOwn, policy, ipv4_of(destination), port);
    return obstacle ? std::string(name_of(obstacle->rule)) + ": " + obstacle->sentence : "";
}

TEST(Reach, WhatIsClosedToAllBoxesSaysWhatItIs) {
    const std::pair<const char*, const char*> kClosed[] = {
        {"10.0.0.1", "10.0.0.0/8, a private network"},
        {"172.31.255.255", "172.16.0.0/12, a private network"},
        {"192.168.1.1", "192.168.0.0/16, a private network"},
        {"100.64.0.1", "100.64.0.0/10, a network that providers share"},
        {"169.254.169.254", "169.254.0.0/16, the network of a link, where clouds have their metadata"},
        {"224.0.0.1", "224.0.0.0/4, the multicast addresses"},
        {"255.255.255.255", "240.0.0.0/4, a reserved network"},
        {"0.1.2.3", "0.0.0.0/8, a reserved network"},
        {"198.18.0.9", "198.18.0.0/16, the network of the boxes themselves"},
    };
    const netns::Policy allowing{.open = false, .allowed = netns::blocked_networks(kNetwork), .denied = {}};
    for (const auto& [address, about] : kClosed) {
        EXPECT_EQ(met(address, 443).find("blocked: "), 0U) << address;
        EXPECT_NE(met(address, 443, allowing).find(about), std::string::npos) << met(address, 443, allowing);
    }
}

TEST(Reach, ItselfAndWhatTheGatewayServesAreOpen) {
    const netns::Policy closed{.open = false, .allowed = {}, .denied = {}};
    for (const char* own : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "198.18.0.7"})
        EXPECT_EQ(met(own, 1, closed), "") << own;
    EXPECT_EQ(met("198.18.0.1", 53, closed), "");
    EXPECT_EQ(met("198.18.0.1", 8092, closed), "");
    EXPECT_EQ(met("198.18.0.1", 22, closed).find("to_host: 198.18.0.1 is this host"), 0U);
}

TEST(Reach, APolicySaysWhichOfItsNetworksItWas) {
    const netns::Policy custom{.open = false,
                               .allowed = netns::parse_network("203.0.113.0/24").value(),
                               .denied = netns::parse_network("203.0.113.128/25").value()};
    EXPECT_EQ(met("203.0.113.1", 443, custom), "");
    EXPECT_EQ(met("203.0.113.129", 443, custom),
              "policy: 203.0.113.129 lies in 203.0.113.128/25, which the box's network policy denies.");
    EXPECT_NE(met("8.8.8.8", 443, custom).find("may talk to 203.0.113.0/24 alone."), std::string::npos);
    EXPECT_NE(met("8.8.8.8", 443, {.open = false, .allowed = {}, .denied = {}}).find("deny-all"), std::string::npos);
    EXPECT_EQ(met("8.8.8.8", 443), "");
}

TEST(KnownNames, EachBoxHasItsOwnAndTheNewest) {
    using netns::KnownNames;
    KnownNames names;
    const netns::Ipv4 other = ipv4_of("198.18.0.8");
    names.learn(kOwn, ipv4_of("1.2.3.4"), "old.example");
    names.learn(kOwn, ipv4_of("1.2.3.4"), "new.example");
    EXPECT_EQ(names.name_of(kOwn, ipv4_of("1.2.3.4")), "new.example");
    EXPECT_EQ(names.name_of(other, ipv4_of("1.2.3.4")), "");
    for (uint32_t i = 0; i < KnownNames::kMostPerBox; ++i) names.learn(kOwn, {i}, "x");
    EXPECT_EQ(names.name_of(kOwn, ipv4_of("1.2.3.4")), "") << "the oldest gives way";
    names.forget(kOwn);
    EXPECT_EQ(names.name_of(kOwn, {1}), "");
}

TEST(KnownNames, AllTogetherAreBoundedAndTheGreediestGivesWay) {
    using netns::KnownNames;
    KnownNames names;
    names.learn(kOwn, {1}, "modest.example");
    for (uint32_t box = 1; box <= 2 * KnownNames::kMost / KnownNames::kMostPerBox; ++box) {
        for (uint32_t i = 0; i < KnownNames::kMostPerBox; ++i) names.learn({box}, {i}, "x");
    }
    size_t kept = 0;
    for (uint32_t box = 1; box <= 2 * KnownNames::kMost / KnownNames::kMostPerBox; ++box) {
        for (uint32_t i = 0; i < KnownNames::kMostPerBox; ++i) kept += names.name_of({box}, {i}).empty() ? 0 : 1;
    }
    EXPECT_EQ(kept + 1, KnownNames::kMost);
    EXPECT_EQ(names.name_of(kOwn, {1}), "modest.example");
}

}  // namespace
}  // namespace hutch::daemon
