// Names that a box may talk to, and what passes between it and name servers for their sake.

#include <gtest/gtest.h>

#include "netns/dns_answer.h"
#include "netns/dns_message.h"
#include "netns/domain.h"
#include "netns/learned.h"

namespace hutch::netns {
namespace {

using namespace std::string_literals;

Ipv4 ipv4_of(const std::string& text) {
    return parse_ipv4(text).value();
}

TEST(Domain, ANameHasOneSpelling) {
    EXPECT_EQ(host_name("Example.ORG."), "example.org");
    EXPECT_EQ(host_name("xn--Bcher-KVA.example"), "xn--bcher-kva.example");
    EXPECT_EQ(host_name("my_bucket.s3.example"), "my_bucket.s3.example");
    EXPECT_EQ(host_name("com"), "com");
    EXPECT_EQ(host_name(std::string(63, 'a') + ".b"), std::string(63, 'a') + ".b");
}

TEST(Domain, WhatIsNoNameOfAHost) {
    std::string long_name;
    while (long_name.size() < 254) long_name += "aaa.";
    for (const std::string& text : {""s,
                                    "."s,
                                    ".."s,
                                    "a..b"s,
                                    ".a"s,
                                    "a.."s,
                                    "-a.b"s,
                                    "a-.b"s,
                                    "a b"s,
                                    "a/b"s,
                                    "a:1"s,
                                    "a\0b"s,
                                    "example.org\0"s,
                                    "b\xc3\xbc"
                                    "cher.example"s,
                                    "*.a"s,
                                    "a*.b"s,
                                    "192.0.2.1"s,
                                    "192.0.2.1."s,
                                    "127.1"s,
                                    "2130706433"s,
                                    "a.0x7f"s,
                                    "a.0x"s,
                                    std::string(64, 'a') + ".b",
                                    long_name,
                                    "[::1]"s}) {
        EXPECT_FALSE(host_name(text)) << text;
    }
}

TEST(Domain, OfAListAreNamesAndAllBelowOne) {
    EXPECT_EQ(parse_domain("Example.org.").value(), "example.org");
    EXPECT_EQ(parse_domain("*.Example.org").value(), "*.example.org");
    for (const char* text : {"", "*", "*.", "*.*.a", "a.*", "https://a.b", "a.b:443", "*.192.0.2.1", "*example.org"}) {
        EXPECT_FALSE(parse_domain(text).ok()) << text;
    }
    EXPECT_NE(parse_domain("b\xc3\xbc.de").error().message.find("xn--"), std::string::npos);
}

TEST(Domain, LookAlikesAreNotListed) {
    const std::vector<std::string> list{"example.org", "*.example.net"};
    for (const char* name : {"example.org", "a.example.net", "a.b.example.net"})
        EXPECT_TRUE(is_listed(list, name)) << name;
    for (const char* name : {"a.example.org", "example.net", "badexample.net", "badexample.org", "example.org.evil.com",
                             "example.net.evil.com", "xample.org", ".example.net", ""}) {
        EXPECT_FALSE(is_listed(list, name)) << name;
    }
    EXPECT_FALSE(is_listed({}, "example.org"));
}

std::string labels(const std::string& name) {
    const std::string query = address_query(0, name);
    return query.substr(kDnsHeader, name.size() + 2);
}

TEST(DnsQuestion, OnlyNamesOfHostsAreRead) {
    const auto read = [](const std::string& name, const std::string& rest = "\0\1\0\1"s) {
        return read_question(name + rest);
    };
    ASSERT_TRUE(read("\7eXample\3oRG\0"s));
    EXPECT_EQ(read("\7eXample\3oRG\0"s)->name, "example.org");
    EXPECT_TRUE(read("\1a\0"s)->address);
    EXPECT_FALSE(read("\1a\0"s, "\0\x1c\0\1"s)->address) << "IPv6";
    EXPECT_FALSE(read("\1a\0"s, "\0\x41\0\1"s)->address) << "HTTPS";
    EXPECT_FALSE(read("\1a\0"s, "\0\1\0\3"s)) << "another class";
    EXPECT_FALSE(
        read("\x0b"
             "example.org\0"s))
        << "a dot within a label";
    EXPECT_FALSE(
        read("\x8"
             "example\0\3org\0"s))
        << "a NUL within a label";
    EXPECT_FALSE(read("\0"s)) << "the root";
}

TEST(DnsQuestion, AQueryIsMadeAnew) {
    const std::string query = address_query(0x1234, "example.org");
    const auto parsed = parse_query(query);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->id, 0x1234);
    EXPECT_EQ(parsed->question, "\7example\3org\0\0\1\0\1"s);
}

std::string be(unsigned value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string record(const std::string& owner, unsigned type, unsigned seconds, const std::string& data) {
    return owner + be(type) + "\0\1\0\0"s + be(seconds) + be(static_cast<unsigned>(data.size())) + data;
}
const std::string kPointer = "\xc0\x0c"s;  // to the question's name

std::string answer_with(const std::vector<std::string>& records, char code = 0) {
    std::string packet = "\0\0\x81\x80\0\1"s + be(static_cast<unsigned>(records.size())) + "\0\0\0\0"s +
                         labels("a.example") + "\0\1\0\1"s;
    packet[3] = static_cast<char>(0x80 | code);
    for (const std::string& one : records) packet += one;
    return packet;
}
std::vector<DnsAddress> addresses(const std::vector<std::string>& records) {
    const auto answer = parse_answer(answer_with(records), "a.example");
    return answer ? answer->addresses : std::vector<DnsAddress>{{{0}, 0}};
}
const std::string kOne = "\xc0\0\2\1"s, kTwo = "\xc0\0\2\2"s;  // 192.0.2.1, 192.0.2.2

TEST(DnsAnswer, AddressesOfTheName) {
    EXPECT_EQ(addresses({}), std::vector<DnsAddress>{});
    EXPECT_EQ(addresses({record(kPointer, 1, 60, kOne), record(labels("A.EXAMPLE"), 1, 30, kTwo)}),
              (std::vector<DnsAddress>{{ipv4_of("192.0.2.1"), 60}, {ipv4_of("192.0.2.2"), 30}}));
    EXPECT_EQ(parse_answer(answer_with({}, 3), "a.example")->code, 3U);
}

TEST(DnsAnswer, ChainsAreFollowedWithinTheAnswer) {
    EXPECT_EQ(addresses({record(labels("cdn.b"), 1, 60, kOne), record(kPointer, 5, 20, labels("B.b")),
                         record(labels("b.b"), 5, 90, labels("cdn.b"))}),
              (std::vector<DnsAddress>{{ipv4_of("192.0.2.1"), 20}}));
    EXPECT_EQ(addresses({record(kPointer, 5, 9, labels("b.b")), record(labels("b.b"), 5, 9, labels("a.example"))}),
              std::vector<DnsAddress>{})
        << "a ring";
}

TEST(DnsAnswer, AddressesOfOthersDoNotCount) {
    EXPECT_EQ(addresses({record(labels("b.b"), 1, 60, kOne)}), std::vector<DnsAddress>{});
    EXPECT_EQ(addresses({record(kPointer, 5, 9, labels("b.b")), record(kPointer, 1, 60, kOne),
                         record(labels("c.c"), 1, 60, kTwo)}),
              std::vector<DnsAddress>{});
    EXPECT_EQ(addresses({record(kPointer, 16, 60, "\3abc"s), record(kPointer, 28, 60, std::string(16, 'x'))}),
              std::vector<DnsAddress>{});
}

TEST(DnsAnswer, WhatDoesNotHoldWhatItSays) {
    const auto refused = [](const std::vector<std::string>& records) {
        return !parse_answer(answer_with(records), "a.example");
    };
    EXPECT_TRUE(refused({record(kPointer, 1, 60, "\1\2\3"s)})) << "three bytes";
    EXPECT_TRUE(refused({record(kPointer, 5, 60, labels("b.b") + "x")})) << "more than a name";
    EXPECT_TRUE(refused({record("\xc0\x40"s, 1, 60, kOne)})) << "a pointer ahead";
    EXPECT_TRUE(refused({record("\x80", 1, 60, kOne)})) << "a label of no kind";
    EXPECT_TRUE(refused({record("", 1, 60, kOne)}));
    const std::string whole = answer_with({record(kPointer, 5, 60, labels("b.b")), record(labels("b.b"), 1, 60, kOne)});
    for (size_t size = kDnsHeader; size < whole.size(); ++size)
        EXPECT_FALSE(parse_answer(whole.substr(0, size), "a.example")) << size;
}

TEST(DnsAnswer, WhatABoxIsToldFitsIntoTheSmallestDatagram) {
    std::string name =
        std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd');
    const std::string query = address_query(0x1234, name);
    const std::string told = address_answer(query, std::vector<DnsAddress>(99, {ipv4_of("192.0.2.1"), 5}));
    EXPECT_LE(told.size(), 512U);
    EXPECT_TRUE(is_answer(told, 0x1234, parse_query(query)->question));
    EXPECT_EQ(parse_answer(told, name)->addresses.size(), kMostAnswered);
    EXPECT_EQ(parse_answer(address_answer(query, {}), name)->addresses.size(), 0U);
    EXPECT_EQ(parse_answer(no_such_name(query), name)->code, 3U);
}

TEST(Learned, HoldsForItsTimeAndForItsBox) {
    Learned learned;
    const Ipv4 box = ipv4_of("198.18.0.2"), other = ipv4_of("198.18.0.3"), server = ipv4_of("192.0.2.1");
    const Clock::time_point now = Clock::now();
    learned.learn(box, server, "b.example", now + std::chrono::seconds(5));
    learned.learn(box, server, "a.example", now + std::chrono::seconds(9));
    learned.learn(box, server, "a.example", now + std::chrono::seconds(1));
    EXPECT_EQ(learned.names_of(box, server, now), (std::vector<std::string>{"a.example", "b.example"}));
    EXPECT_EQ(learned.names_of(box, server, now + std::chrono::seconds(5)), std::vector<std::string>{"a.example"});
    EXPECT_TRUE(learned.names_of(other, server, now).empty());
    EXPECT_TRUE(learned.names_of(box, ipv4_of("192.0.2.2"), now).empty());
    learned.forget(box);
    EXPECT_TRUE(learned.names_of(box, server, now).empty());
}

TEST(Learned, TheOldestGoesWhenThereAreTooMany) {
    Learned learned;
    const Ipv4 box = ipv4_of("198.18.0.2");
    const Clock::time_point now = Clock::now(), later = now + std::chrono::hours(1);
    for (uint32_t i = 0; i < Learned::kMostPerBox; ++i) learned.learn(box, {i}, "a", later);
    learned.learn(box, {0}, "a", later);
    learned.learn(box, {Learned::kMostPerBox}, "a", later);
    EXPECT_EQ(learned.names_of(box, {0}, now).size(), 1U) << "told again";
    EXPECT_TRUE(learned.names_of(box, {1}, now).empty());
    EXPECT_EQ(learned.names_of(box, {2}, now).size(), 1U);
}

}  // namespace
}  // namespace hutch::netns
