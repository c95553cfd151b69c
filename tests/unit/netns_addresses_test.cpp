#include <gtest/gtest.h>

#include <set>

#include "netns/addresses.h"
#include "netns/config.h"

namespace hutch::netns {
namespace {

Ipv4 ip(const char* text) {
    return parse_ipv4(text).value();
}

TEST(Address, TextAndBack) {
    EXPECT_EQ(to_string(ip("198.18.0.1")), "198.18.0.1");
    EXPECT_EQ(to_string(parse_prefix("198.18.0.0/15").value()), "198.18.0.0/15");
    EXPECT_EQ(address_of(socket_address(ip("10.1.2.3"), 53)), ip("10.1.2.3"));
}

TEST(Address, RefusesWhatIsNoPrefix) {
    for (const char* bad : {"10.0.0.0", "10.0.0.0/", "10.0.0.0/0", "10.0.0.0/33", "10.0.0.0/8x", "10.0.0.1/8", "x/8"}) {
        EXPECT_FALSE(parse_prefix(bad).ok()) << bad;
    }
}

TEST(Address, PrefixContainsItsAddressesOnly) {
    const Prefix prefix = parse_prefix("198.18.0.0/15").value();
    EXPECT_TRUE(prefix.contains(ip("198.18.0.0")));
    EXPECT_TRUE(prefix.contains(ip("198.19.255.255")));
    EXPECT_FALSE(prefix.contains(ip("198.20.0.0")));
    EXPECT_FALSE(prefix.contains(ip("198.17.255.255")));
}

/// 10.0.0.0/29: the gateway is .1, boxes are .2 to .6.
class AddressesTest : public ::testing::Test {
  protected:
    Prefix range_ = parse_prefix("10.0.0.0/29").value();
};

TEST_F(AddressesTest, HandsOutEachBoxAddressOnceAndNoOther) {
    Addresses addresses(range_, 0);
    std::set<std::string> taken;
    for (int i = 0; i < 5; ++i) taken.insert(to_string(addresses.take().value()));
    EXPECT_EQ(taken, (std::set<std::string>{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
    EXPECT_EQ(addresses.take().error().kind, ErrorKind::kLimit);
}

TEST_F(AddressesTest, BeginsWhereItIsToldAndGoesRound) {
    Addresses addresses(range_, 8);  // 8 mod 5
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.5"));
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.6"));
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.2"));
}

TEST_F(AddressesTest, AFreedAddressComesLast) {
    Addresses addresses(range_, 0);
    const Ipv4 first = addresses.take().value();
    addresses.release(first);
    std::set<Ipv4> others;
    for (int i = 0; i < 4; ++i) others.insert(addresses.take().value());
    EXPECT_EQ(others.count(first), 0U);
    EXPECT_EQ(addresses.take().value(), first);
}

TEST_F(AddressesTest, TheLongestFreeComesFirst) {
    Addresses addresses(range_, 0);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(addresses.take().ok());
    addresses.release(ip("10.0.0.4"));
    addresses.release(ip("10.0.0.2"));
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.4"));
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.2"));
}

TEST_F(AddressesTest, AReservedAddressIsNotHandedOutUntilReleased) {
    Addresses addresses(range_, 0);
    ASSERT_TRUE(addresses.reserve(ip("10.0.0.3")).ok());
    std::set<Ipv4> taken;
    for (int i = 0; i < 4; ++i) taken.insert(addresses.take().value());
    EXPECT_EQ(taken.count(ip("10.0.0.3")), 0U);
    EXPECT_FALSE(addresses.take().ok());
    addresses.release(ip("10.0.0.3"));
    EXPECT_EQ(addresses.take().value(), ip("10.0.0.3"));
}

TEST_F(AddressesTest, ReservesAFreedAddress) {
    Addresses addresses(range_, 0);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(addresses.take().ok());
    addresses.release(ip("10.0.0.2"));
    EXPECT_TRUE(addresses.reserve(ip("10.0.0.2")).ok());
    EXPECT_FALSE(addresses.take().ok());
}

TEST_F(AddressesTest, ReservesOnlyBoxAddressesAndOnlyOnce) {
    Addresses addresses(range_, 0);
    for (const char* bad : {"10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.0.8", "9.255.255.255"}) {
        EXPECT_EQ(addresses.reserve(ip(bad)).error().kind, ErrorKind::kInvalid) << bad;
    }
    EXPECT_TRUE(addresses.reserve(ip("10.0.0.2")).ok());
    EXPECT_EQ(addresses.reserve(ip("10.0.0.2")).error().kind, ErrorKind::kConflict);
}

TEST_F(AddressesTest, ASecondReleaseDoesNotHandOutTwice) {
    Addresses addresses(range_, 0);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(addresses.take().ok());
    addresses.release(ip("10.0.0.2"));
    addresses.release(ip("10.0.0.2"));
    addresses.release(ip("10.0.0.1"));
    EXPECT_TRUE(addresses.take().ok());
    EXPECT_FALSE(addresses.take().ok());
}

TEST(NetnsConfig, LinkNamesAndAddressesAreOneToOne) {
    const Config config;
    EXPECT_EQ(config.gateway(), ip("198.18.0.1"));
    EXPECT_EQ(config.link_name(ip("198.18.255.254")), "hutch-65534");
    EXPECT_EQ(config.address_of_link("hutch-65534"), ip("198.18.255.254"));
    for (const char* other : {"hutch", "hutch-", "hutch-07", "hutch-7x", "hutch-65536", "hutch7", "hutc-7", "eth0",
                              "xhutch-7", "hutch-99999999999", "hutchl-7"}) {
        EXPECT_FALSE(config.address_of_link(other)) << other;
    }
}

TEST(NetnsConfig, RefusesNamesThatMayNotStandInARuleset) {
    EXPECT_TRUE(check(Config{}).ok());
    for (const char* bad : {"", "toolong", "a b", "a\"", "a*", "A", "7a", "a-b"}) {
        Config config;
        config.link_prefix = bad;
        EXPECT_EQ(check(config).error().kind, ErrorKind::kInvalid) << bad;
        config = Config{};
        config.table = std::string(bad) == "toolong" ? "x {}" : bad;
        EXPECT_EQ(check(config).error().kind, ErrorKind::kInvalid) << bad;
    }
}

TEST(NetnsConfig, RefusesARangeWithoutRoom) {
    Config config;
    config.range = parse_prefix("10.0.0.0/30").value();
    EXPECT_FALSE(check(config).ok());
    config.range = parse_prefix("10.0.0.0/29").value();
    EXPECT_TRUE(check(config).ok());
}

}  // namespace
}  // namespace hutch::netns
