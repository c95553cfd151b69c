// What a public URL names, what opens it, and how heads are written anew on their way.

#include <gtest/gtest.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "daemon/base64.h"
#include "daemon/preview/previews.h"
#include "daemon/proxy/heads.h"
#include "daemon/secret.h"
#include "daemon/wire/preview_host.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;

TEST(PreviewHost, IsTheIdOfABoxAndAPort) {
    for (const char* host :
         {"abc-3000.example.com", "ABC-3000.Example.COM", "abc-3000.example.com.", "abc-3000.example.com:8081"}) {
        const auto found = parse_preview_host(host, "example.com");
        ASSERT_TRUE(found) << host;
        EXPECT_EQ(found->box, "abc");
        EXPECT_EQ(found->port, 3000);
        EXPECT_EQ(preview_host(*found, "example.com"), "abc-3000.example.com");
    }
}

TEST(PreviewHost, IsNoOther) {
    for (const char* host : {"",
                             "example.com",
                             ".example.com",
                             "-3000.example.com",
                             "abc.example.com",
                             "abc-.example.com",
                             "abc-0.example.com",
                             "abc-03000.example.com",
                             "abc-65536.example.com",
                             "abc-+80.example.com",
                             "abc-80-80.example.com",
                             "a.abc-80.example.com",
                             "abc-80.example.com.evil",
                             "abc-80example.com",
                             "abc-80.example.com:",
                             "abc-80.example.com:x",
                             "abc-80.example.com:0",
                             "abc-80.example.com:80:80",
                             "a_b-80.example.com",
                             "abc-80.example.com..",
                             "abc-80.other.com"}) {
        EXPECT_FALSE(parse_preview_host(host, "example.com")) << host;
    }
    EXPECT_FALSE(parse_preview_host(std::string(60, 'a') + "-8080.example.com", "example.com"));
    EXPECT_FALSE(parse_preview_host(std::string(100'000, 'a'), "example.com"));
}

TEST(Preview, IsOpenedByWhatItAsksForAlone) {
    const PreviewRecord open{};
    EXPECT_TRUE(opens(open, ""));
    EXPECT_TRUE(opens(open, "Bearer anything"));
    const PreviewRecord token{.box = "b", .id = "i", .token_hash = secret_hash("secret")};
    EXPECT_TRUE(opens(token, "Bearer secret"));
    EXPECT_TRUE(opens(token, "bearer  secret"));
    for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer secret ", "Bearer Secret", "Basic secret", "secret"}) {
        EXPECT_FALSE(opens(token, wrong)) << wrong;
    }
    const PreviewRecord basic{.box = "b", .id = "i", .basic_hash = secret_hash(encode_base64("box:secret"))};
    EXPECT_TRUE(opens(basic, "Basic " + encode_base64("box:secret")));
    EXPECT_FALSE(opens(basic, "Basic " + encode_base64("box:")));
    EXPECT_FALSE(opens(basic, "Bearer " + encode_base64("box:secret")));
}

template <bool kIsRequest>
http::header<kIsRequest> head_of(std::string_view text) {
    http::parser<kIsRequest, http::string_body> parser;
    boost::system::error_code failed;
    parser.put(boost::asio::buffer(text), failed);
    EXPECT_TRUE(parser.is_header_done()) << failed.message();
    return parser.get();
}

TEST(Heads, GoIntoABoxWithoutWhatEndsHere) {
    const auto request = head_of<true>(
        "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close, Cookie , X-Hop, Host\r\nCookie: a\r\nX-Hop: y\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nX-FORWARDED-Anything: z\r\nForwarded: for=1\r\nX-Box-Api-Key: k\r\n"
        "X_Forwarded_For: 1.2.3.4\r\nx-forwarded_proto: https\r\nX_Real-IP: 1.2.3.4\r\nX_Box_Api_Key: k\r\n"
        "Authorization: Bearer t\r\nTE: trailers\r\nUpgrade: h2c\r\nAccept: a\r\nAccept: b\r\n\r\n");
    EXPECT_EQ(head_to_box(request, {.address = "192.0.2.1", .tls = true}, {}),
              "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept: b\r\nX-Forwarded-For: 192.0.2.1\r\n"
              "X-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\nConnection: close\r\n\r\n");
    const std::string kept =
        head_to_box(request, {.address = "192.0.2.1", .keeps_credential = true}, {BodyFraming::Kind::kLength, 5, true});
    EXPECT_NE(kept.find("Authorization: Bearer t\r\n"), kept.npos);
    EXPECT_NE(kept.find("Content-Length: 5\r\n"), kept.npos);
}

// Programs that find fields in their environment cannot tell X_Forwarded_For from X-Forwarded-For.
TEST(Heads, BringNoWordOfOursInAnotherSpelling) {
    const auto request = head_of<true>(
        "POST / HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 1.2.3.4\r\nx-forwarded_host: evil\r\nX_Real-IP: 1\r\n"
        "X_Box_Api_Key: k\r\nTransfer_Encoding: chunked\r\nContent_Length: 3\r\nProxy: http://evil\r\nX_Own: "
        "kept\r\n\r\n");
    EXPECT_EQ(head_to_box(request, {.address = "192.0.2.1", .tls = true}, {}),
              "POST / HTTP/1.1\r\nHost: x\r\nX_Own: kept\r\nX-Forwarded-For: 192.0.2.1\r\n"
              "X-Forwarded-Proto: https\r\nX-Forwarded-Host: x\r\nConnection: close\r\n\r\n");
}

TEST(Heads, ChangeToAWebSocketAndToNothingElse) {
    const auto asks = [](const char* version, const char* connection, const char* upgrade) {
        return asks_for_web_socket(head_of<true>(std::string("GET / HTTP/") + version + "\r\nHost: x\r\nConnection: " +
                                                 connection + "\r\nUpgrade: " + upgrade + "\r\n\r\n"));
    };
    EXPECT_TRUE(asks("1.1", "Upgrade", "websocket"));
    EXPECT_TRUE(asks("1.1", "keep-alive, upgrade", "WebSocket"));
    EXPECT_FALSE(asks("1.0", "Upgrade", "websocket"));
    EXPECT_FALSE(asks("1.1", "keep-alive", "websocket"));
    EXPECT_FALSE(asks("1.1", "Upgrade", "h2c"));
    EXPECT_FALSE(asks("1.1", "Upgrade", "h2c, websocket"));
}

TEST(Heads, ComeOutOfABoxFramedAnew) {
    const auto answer = head_of<false>(
        "HTTP/1.0 200 Fine\r\nConnection: X-Hop\r\nX-Hop: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: 5\r\n"
        "Content-Length: 7\r\n\r\n");
    EXPECT_EQ(head_to_client(answer, {BodyFraming::Kind::kLength, 7, true}, 11, true),
              "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n");
    EXPECT_EQ(head_to_client(answer, {BodyFraming::Kind::kChunked}, 11, false),
              "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n"
              "Connection: close\r\n\r\n");
    EXPECT_EQ(head_to_client(answer, {BodyFraming::Kind::kToEnd}, 10, false),
              "HTTP/1.0 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\r\n");
}

}  // namespace
}  // namespace hutch::daemon
