#include "netns/policy.h"

#include <gtest/gtest.h>

namespace hutch::netns {
namespace {

Prefix network(const std::string& text) {
    return parse_network(text).value().front();
}

const Ipv4 kBox = parse_ipv4("198.18.0.7").value();

TEST(Policy, TheDefaultHasNoElements) {
    EXPECT_EQ(policy_commands({}, kBox, {}, {}), "");
    EXPECT_TRUE(Policy{}.is_default());
}

TEST(Policy, BecomesElementsOfItsBox) {
    EXPECT_EQ(policy_commands({}, kBox, {}, {.open = false, .allowed = {}, .denied = {}}),
              "add element inet hutch policed { 198.18.0.7 }\n");
    EXPECT_EQ(policy_commands({}, kBox, {}, {.open = true, .allowed = {}, .denied = {network("192.0.2.0/24")}}),
              "add element inet hutch policed { 198.18.0.7 }\n"
              "add element inet hutch allowed { 198.18.0.7 . 0.0.0.0/0 }\n"
              "add element inet hutch denied { 198.18.0.7 . 192.0.2.0/24 }\n");
}

TEST(Policy, OnlyTheDifferenceIsChanged) {
    const Policy one{.open = false, .allowed = {network("192.0.2.0/24"), network("203.0.113.0/24")}, .denied = {}};
    const Policy two{.open = false, .allowed = {network("203.0.113.0/24")}, .denied = {network("203.0.113.1")}};
    EXPECT_EQ(policy_commands({}, kBox, one, two),
              "delete element inet hutch allowed { 198.18.0.7 . 192.0.2.0/24 }\n"
              "add element inet hutch denied { 198.18.0.7 . 203.0.113.1/32 }\n");
    EXPECT_EQ(policy_commands({}, kBox, two, two), "");
}

TEST(Policy, TheKernelIsNotToldOfANetworkWithinAnother) {
    const Policy policy{.open = false,
                        .allowed = {network("203.0.113.7"), network("203.0.113.0/24"), network("203.0.0.0/16"),
                                    network("203.1.0.0/16")},
                        .denied = {}};
    EXPECT_EQ(policy_commands({}, kBox, {}, policy),
              "add element inet hutch policed { 198.18.0.7 }\n"
              "add element inet hutch allowed { 198.18.0.7 . 203.0.0.0/16, 198.18.0.7 . 203.1.0.0/16 }\n");
}

TEST(Policy, NetworksThatOverlapOrAdjoinAreOnePiece) {
    const auto pieces = [](const std::vector<std::string>& texts) {
        std::vector<Prefix> networks;
        for (const auto& text : texts) networks.push_back(network(text));
        std::string said;
        for (const auto& [first, last] : merged(networks)) said += to_string(first) + "-" + to_string(last) + " ";
        return said;
    };
    EXPECT_EQ(pieces({}), "");
    EXPECT_EQ(pieces({"0.0.0.0/8", "10.0.0.0/8"}), "0.0.0.0-0.255.255.255 10.0.0.0-10.255.255.255 ");
    EXPECT_EQ(pieces({"240.0.0.0/4", "224.0.0.0/4", "230.1.2.3"}), "224.0.0.0-255.255.255.255 ");
    EXPECT_EQ(pieces({"128.0.0.0/1", "0.0.0.0/1", "255.255.255.255"}), "0.0.0.0-255.255.255.255 ");
    EXPECT_EQ(pieces({"192.0.2.1", "192.0.2.3"}), "192.0.2.1-192.0.2.1 192.0.2.3-192.0.2.3 ");
}

TEST(ParseNetwork, TakesAddressesNetworksAndAll) {
    EXPECT_EQ(to_string(network("192.0.2.1")), "192.0.2.1/32");
    EXPECT_EQ(to_string(network("192.0.2.0/24")), "192.0.2.0/24");
    EXPECT_EQ(parse_network("0.0.0.0/0").value().size(), 2U);
    for (const char* bad :
         {"", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "2001:db8::/32", "example.org", "1.2.3"}) {
        EXPECT_FALSE(parse_network(bad).ok()) << bad;
    }
}

}  // namespace
}  // namespace hutch::netns
