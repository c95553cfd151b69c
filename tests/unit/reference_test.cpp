// References of images, and what registries want of their callers, as strangers write them.

#include "daemon/wire/reference.h"

#include <gtest/gtest.h>

#include "daemon/wire/challenge.h"

namespace hutch::daemon {
namespace {

std::string printed(const std::string& text) {
    const auto reference = parse_reference(text);
    return reference.ok() ? reference.value().text() : "refused: " + reference.error().message;
}

TEST(Reference, PrintsWhatItParses) {
    const std::string digest = "sha256:" + std::string(64, 'a');
    for (const std::string& text :
         {std::string("node"), std::string("node:20"), std::string("library/node"),
          std::string("docker.io/library/node:20"), std::string("localhost/a"),
          std::string("127.0.0.1:5000/team/app_x/b--c:v1.2_3-4"), std::string("[::1]:5000/app:1"),
          "registry.example.com/app@" + digest, "app:1@" + digest}) {
        EXPECT_EQ(printed(text), text);
    }
}

TEST(Reference, KnowsWhatIsAHost) {
    EXPECT_EQ(parse_reference("node:20").value().host, "");
    EXPECT_EQ(parse_reference("team/app").value().host, "");
    EXPECT_EQ(parse_reference("localhost/app").value().host, "localhost");
    EXPECT_EQ(parse_reference("host:5000/app:1").value().host, "host:5000");
    EXPECT_EQ(parse_reference("Registry.Example.com/app").value().host, "registry.example.com");
}

TEST(Reference, GoesToTheRegistryThatIsMeant) {
    EXPECT_EQ(at_registry(parse_reference("node:20").value(), "docker.io").text(), "docker.io/library/node:20");
    EXPECT_EQ(at_registry(parse_reference("team/app").value(), "docker.io").text(), "docker.io/team/app");
    EXPECT_EQ(at_registry(parse_reference("node").value(), "r.example.com").text(), "r.example.com/node");
    EXPECT_EQ(at_registry(parse_reference("index.docker.io/node").value(), "x.y").text(), "docker.io/library/node");
    EXPECT_EQ(parse_reference("a/b").value().manifest(), "latest");
    EXPECT_EQ(parse_reference("a/b:1@sha256:" + std::string(64, '0')).value().manifest(),
              "sha256:" + std::string(64, '0'));
}

TEST(Reference, RefusesWhatIsNone) {
    for (const std::string& text : {std::string(),
                                    std::string("/"),
                                    std::string("a/"),
                                    std::string("/a"),
                                    std::string("a//b"),
                                    std::string("A/b"),
                                    std::string("a:"),
                                    std::string("a:-x"),
                                    std::string("a:" + std::string(129, 'x')),
                                    std::string("a@sha256:12"),
                                    std::string("a@md5:" + std::string(64, 'a')),
                                    std::string("a@sha256:" + std::string(64, 'A')),
                                    std::string("a..b"),
                                    std::string("a___b"),
                                    std::string("-a"),
                                    std::string("a-"),
                                    std::string("a b"),
                                    std::string("a\nb"),
                                    std::string("../a"),
                                    std::string("h.x/../a"),
                                    std::string("h.x:99999999/a"),
                                    std::string("h.x:/a"),
                                    std::string("u@h.x/a"),
                                    std::string("[::1/a"),
                                    std::string("h..x/a"),
                                    std::string(".x/a"),
                                    std::string("https://h.x/a"),
                                    std::string(600, 'a'),
                                    std::string("h.x/a?b=c"),
                                    std::string("h.x/a#b"),
                                    std::string("a\0b", 3)}) {
        EXPECT_TRUE(printed(text).starts_with("refused: ")) << text;
    }
    EXPECT_NE(printed("Not/Good").find("\"Not/Good\" is no reference of an image: "), std::string::npos);
}

TEST(Reference, KnowsItsOwnMachine) {
    for (const char* host : {"localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:5000"})
        EXPECT_TRUE(is_loopback_host(host)) << host;
    for (const char* host : {"127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "[::2]", "example.com:127"})
        EXPECT_FALSE(is_loopback_host(host)) << host;
}

TEST(Challenge, ReadsWhatRegistriesSay) {
    const auto bearer = parse_challenges(
        R"(Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push")");
    ASSERT_EQ(bearer.size(), 1U);
    EXPECT_EQ(bearer[0].scheme, "bearer");
    EXPECT_EQ(bearer[0].value("realm"), "https://auth.example.com/token");
    EXPECT_EQ(bearer[0].value("scope"), "repository:a/b:pull,push");
    const auto both = parse_challenges(R"(Basic realm="a \" b" , BEARER Realm=x, error = "y")");
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(both[0].value("realm"), "a \" b");
    EXPECT_EQ(both[1].scheme, "bearer");
    EXPECT_EQ(both[1].value("error"), "y");
}

TEST(Challenge, IsBounded) {
    EXPECT_TRUE(parse_challenges("").empty());
    EXPECT_TRUE(parse_challenges(std::string(9000, 'a')).empty());
    EXPECT_TRUE(parse_challenges("realm=x").empty());
    EXPECT_EQ(parse_challenges(R"(Bearer realm="never closed)")[0].values.size(), 0U);
    std::string many = "Bearer a=b";
    for (int i = 0; i < 1000; ++i) many += ",a" + std::to_string(i) + "=b";
    EXPECT_LE(parse_challenges(many)[0].values.size(), 64U);
}

TEST(Challenge, TakesTokensThatCanBeSent) {
    EXPECT_EQ(parse_token(R"({"token":"abc.d-e"})").value().token, "abc.d-e");
    EXPECT_EQ(parse_token(R"({"access_token":"abc","refresh_token":"r"})").value().refresh, "r");
    for (const std::string& body : {std::string("{}"), std::string("[]"), std::string("x"),
                                    std::string(R"({"token":5})"), std::string(R"({"token":"a\r\nX-More: b"})"),
                                    R"({"token":")" + std::string(40000, 'a') + "\"}", std::string(200, '[')}) {
        EXPECT_FALSE(parse_token(body).ok()) << body.substr(0, 40);
    }
}

TEST(Challenge, ShowsRefusalsInALine) {
    EXPECT_EQ(refusal_in(R"({"errors":[{"code":"NAME_UNKNOWN","message":"not\nknown"},{"code":"DENIED"}]})"),
              "not?known; DENIED");
    EXPECT_EQ(refusal_in("<html>"), "");
    EXPECT_LE(refusal_in(R"({"errors":[{"message":")" + std::string(9000, 'a') + "\"}]}").size(), 300U);
}

TEST(Challenge, FollowsRedirectsOfTheWeb) {
    const std::string called = "https://r.example.com/v2/a/blobs/x?y=z";
    EXPECT_EQ(redirected(called, "https://cdn.example.com/x?s=1#f").value(), "https://cdn.example.com/x?s=1");
    EXPECT_EQ(redirected(called, "/other").value(), "https://r.example.com/other");
    EXPECT_EQ(redirected(called, "//cdn.example.com/x").value(), "https://cdn.example.com/x");
    EXPECT_EQ(redirected(called, "?more").value(), "https://r.example.com/v2/a/blobs/x?more");
    for (const std::string& location :
         {std::string(), std::string("file:///etc/passwd"), std::string("gopher://x"), std::string("x"),
          std::string("https://a b"), std::string("/") + std::string(9000, 'a')}) {
        EXPECT_FALSE(redirected(called, location).ok()) << location.substr(0, 40);
    }
    EXPECT_EQ(escaped_query("a b/c:d&e"), "a%20b%2Fc%3Ad%26e");
}

}  // namespace
}  // namespace hutch::daemon
