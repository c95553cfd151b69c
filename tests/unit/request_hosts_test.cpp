#include "daemon/wire/request_hosts.h"

#include <gtest/gtest.h>

#include <vector>

namespace hutch::daemon {
namespace {

using namespace std::string_literals;

/// The request lines it was asked about; those to /no are not passed on. `refused`: it was not taken to its end.
struct Followed {
    std::vector<std::string> asked;
    bool refused = false;
    bool operator==(const Followed&) const = default;
};

Followed follow(const std::string& sent, size_t piece, const std::string& answer = "") {
    Followed followed;
    RequestHosts hosts([&](std::string_view head) {
        followed.asked.emplace_back(head.substr(0, head.find(" HTTP")));
        return head.find(" /no ") == std::string_view::npos;
    });
    for (size_t at = 0; at < sent.size() && !followed.refused; at += piece) {
        followed.refused = !hosts.take(std::string_view(sent).substr(at, piece));
        if (followed.asked.size() == 1) hosts.answered(answer);
    }
    return followed;
}

// The same in whatever pieces it comes.
Followed follow(const std::string& sent) {
    const Followed whole = follow(sent, sent.size());
    for (const size_t piece : {1, 2, 7, 50}) EXPECT_EQ(follow(sent, piece), whole) << piece;
    return whole;
}

const std::string kGet = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kNo = "GET /no HTTP/1.1\r\nHost: b\r\n\r\n";

std::string post(const std::string& fields, const std::string& body) {
    return "POST /p HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n" + body;
}

TEST(RequestHosts, EachRequestOfAConnectionIsAskedAbout) {
    EXPECT_EQ(follow(kGet + kGet + kNo), (Followed{{"GET /a", "GET /a", "GET /no"}, true}));
    EXPECT_EQ(follow(post("Content-Length: 5", "hello") + kNo), (Followed{{"POST /p", "GET /no"}, true}));
    EXPECT_EQ(follow(post("Content-Length: 0", "") + kGet), (Followed{{"POST /p", "GET /a"}, false}));
}

TEST(RequestHosts, WhatABodyHoldsIsNoRequest) {
    const std::string body = kNo;
    EXPECT_EQ(follow(post("Content-Length: " + std::to_string(body.size()), body)), (Followed{{"POST /p"}, false}));
    const std::string chunks = "5\r\nGET /\r\n1D\r\n0\r\n\r\n" + std::string(24, 'x') + "\r\n0\r\nTrailer: x\r\n\r\n";
    EXPECT_EQ(follow(post("Transfer-Encoding: chunked", chunks) + kNo), (Followed{{"POST /p", "GET /no"}, true}));
}

TEST(RequestHosts, WhatCanBeReadInTwoWaysIsRefused) {
    for (const std::string& chunks : {"5;a=b\r\nhello\r\n0\r\n\r\n"s, "5\nhello\r\n0\r\n\r\n"s, "5\r\nhellox\r\n"s,
                                      "-1\r\n"s, "\r\n"s, "0x5\r\nhello\r\n"s, " 5\r\nhello\r\n"s,
                                      "fffffffffffffffff\r\n"s, "0\r\na\rb\r\n\r\n"s, "0\r\nTrailer: x\n\r\n"s}) {
        EXPECT_TRUE(follow(post("Transfer-Encoding: chunked", chunks)).refused) << chunks;
    }
    for (const std::string& request :
         {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"s, "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n"s,
          "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"s, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"s,
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s}) {
        EXPECT_TRUE(follow(request).refused) << request;
    }
}

TEST(RequestHosts, AWebSocketIsNotReadOnceTheServerAgrees) {
    const auto upgrade = [](const std::string& to) {
        return "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: " + to + "\r\n\r\n";
    };
    const std::string agreed = "HTTP/1.1 101 Switching", refused = "HTTP/1.1 200 OK\r\n";
    const auto size = upgrade("websocket").size();
    EXPECT_EQ(follow(upgrade("websocket") + "\x81\x05", size, agreed), (Followed{{"GET /a"}, false}));
    EXPECT_EQ(follow(upgrade("websocket") + kNo, size, refused), (Followed{{"GET /a", "GET /no"}, true}));
    EXPECT_TRUE(follow(upgrade("h2c") + "PRI * HTTP/2.0\r\n\r\n", upgrade("h2c").size(), agreed).refused);
    EXPECT_TRUE(follow(kGet + upgrade("websocket") + kNo, kGet.size(), refused).refused) << "not the first request";
}

TEST(MayBeWeb, OnlyWhatNoServerOfTlsOrHttpReads) {
    for (const std::string& other :
         {"SSH-2.0-OpenSSH_9.2\r\n"s, "EHLO a\r\n"s, "\0\0\0\x08\x04\xd2\x16\x2f"s, "*1\r\n$4\r\n"s, ""s}) {
        EXPECT_FALSE(may_be_web(other)) << other;
    }
    for (const std::string& web : {"\x15\x03\x01\0\x02\x01\x5a\x16\x03\x01"s, "\x16\x03\x01"s, "\x80\x2e\x01\x03"s,
                                   "\r\nGET / HTTP/1.1\r\n"s, " GET /"s, "GET /\r\n"s, "get / http/1.1\r\n"s,
                                   "X / HTTP/1.1\n"s, "PRI * HTTP/2.0\r\n"s, "PROXY TCP4 "s, "GE"s}) {
        EXPECT_TRUE(may_be_web(web)) << web;
    }
}

}  // namespace
}  // namespace hutch::daemon
