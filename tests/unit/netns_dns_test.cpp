#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "netns/dns_message.h"
#include "netns/upstreams.h"

namespace hutch::netns {
namespace {

using namespace std::string_literals;

const std::string kQuestion = "\7example\3com\0\0\1\0\1"s;
const std::string kQuery = "\x12\x34\x01\x00\0\1\0\0\0\0\0\0"s + kQuestion;
const std::string kAnswer = "\x12\x34\x81\x80\0\1\0\1\0\0\0\0"s + kQuestion + "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\1\2\3\4"s;

std::string with(std::string packet, size_t at, char value) {
    packet[at] = value;
    return packet;
}

TEST(DnsMessage, FindsIdAndQuestionOfAQuery) {
    const auto query = parse_query(kQuery);
    ASSERT_TRUE(query);
    EXPECT_EQ(query->id, 0x1234);
    EXPECT_EQ(query->question, kQuestion);
    EXPECT_EQ(parse_query(kQuery + "additional records")->question, kQuestion);
}

TEST(DnsMessage, RefusesEveryCutOffQuery) {
    for (size_t size = 0; size < kQuery.size(); ++size) EXPECT_FALSE(parse_query(kQuery.substr(0, size))) << size;
}

TEST(DnsMessage, RefusesWhatIsNoStandardQuery) {
    EXPECT_FALSE(parse_query(kAnswer)) << "an answer";
    EXPECT_FALSE(parse_query(with(kQuery, 2, 0x28))) << "an update";
    EXPECT_FALSE(parse_query(with(kQuery, 2, 0x20))) << "a notify";
    EXPECT_FALSE(parse_query(with(kQuery, 5, 0))) << "no question";
    EXPECT_FALSE(parse_query(with(kQuery, 5, 2))) << "two questions";
    EXPECT_FALSE(parse_query(with(kQuery, 12, '\xc0'))) << "a compressed name";
    EXPECT_FALSE(parse_query(kQuery + std::string(kMaxDnsQuery, 'x'))) << "too long";
}

TEST(DnsMessage, RefusesANameAboveTheLimit) {
    std::string name;
    while (name.size() < 250) name += "\x9" + "123456789"s;
    const std::string header = kQuery.substr(0, kDnsHeader);
    EXPECT_TRUE(parse_query(header + name + "\0\0\1\0\1"s));
    EXPECT_FALSE(parse_query(header + name + "\x9" + "123456789\0\0\1\0\1"s));
}

TEST(DnsMessage, AnAnswerHasTheIdAndTheQuestion) {
    EXPECT_TRUE(is_answer(kAnswer, 0x1234, kQuestion));
    EXPECT_FALSE(is_answer(kAnswer, 0x1235, kQuestion));
    EXPECT_FALSE(is_answer(kQuery, 0x1234, kQuestion)) << "the query itself";
    EXPECT_FALSE(is_answer(with(kAnswer, 13, 'E'), 0x1234, kQuestion)) << "another name";
    EXPECT_FALSE(is_answer(kAnswer.substr(0, kDnsHeader + 5), 0x1234, kQuestion)) << "a cut-off one";
}

TEST(DnsMessage, ServerFailureRepeatsTheQuestionOnly) {
    const std::string failure = server_failure(kQuery + "additional records");
    EXPECT_TRUE(is_answer(failure, 0x1234, kQuestion));
    EXPECT_EQ(failure.size(), kQuery.size());
    EXPECT_EQ(failure[3] & 0xF, 2);
}

std::string text_of(const Upstream& server) {
    char text[INET6_ADDRSTRLEN]{};
    if (server.name()->sa_family == AF_INET) {
        const auto* name = reinterpret_cast<const sockaddr_in*>(server.name());
        return inet_ntop(AF_INET, &name->sin_addr, text, sizeof(text)) + ":"s + std::to_string(ntohs(name->sin_port));
    }
    const auto* name = reinterpret_cast<const sockaddr_in6*>(server.name());
    return inet_ntop(AF_INET6, &name->sin6_addr, text, sizeof(text)) + "%"s + std::to_string(name->sin6_scope_id);
}

TEST(ResolvConf, TakesNameServersOfBothFamilies) {
    const auto servers = parse_resolv_conf(
        "# nameserver 1.1.1.1\nsearch x\n nameserver\t10.0.0.53 # office\n"
        "nameserver fe80::1%lo\nnameserver nonsense\n");
    ASSERT_EQ(servers.size(), 2U);
    EXPECT_EQ(text_of(servers[0]), "10.0.0.53:53");
    EXPECT_EQ(text_of(servers[1]), "fe80::1%1");
}

TEST(ResolvConf, TakesTheFirstThree) {
    EXPECT_EQ(
        parse_resolv_conf("nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n").size(),
        3U);
}

TEST(ResolvConf, WithoutAnyTheHostIsAsked) {
    const auto servers = parse_resolv_conf("search example.org\n");
    ASSERT_EQ(servers.size(), 1U);
    EXPECT_EQ(text_of(servers[0]), "127.0.0.1:53");
}

}  // namespace
}  // namespace hutch::netns
