#include "daemon/attached/attached.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/asio/ssl/context.hpp>

#include "daemon/wire/attached_header.h"

namespace hutch::daemon {
namespace {

TEST(HostPattern, IsANameOrAllBelowOne) {
    for (const char* good : {"a.b", "api.example.com", "*.example.com", "x_1.y-2.z9z", "xn--bcher-kva.example"}) {
        EXPECT_TRUE(check_host_pattern(good).ok()) << good;
    }
    for (const char* bad : {"",        "localhost", "*",     "*.",       "*.com.", "A.b",     "a..b",        ".a.b",
                            "a.b.",    "-a.b",      "a-.b",  "10.0.0.1", "a.1",    "a.b:443", "https://a.b", "a.b/c",
                            "*.*.a.b", "a.*.b",     "a b.c", "a.b\n",    "[::1]"}) {
        EXPECT_FALSE(check_host_pattern(bad).ok()) << bad;
    }
}

TEST(HostPattern, MatchesWholeLabels) {
    EXPECT_TRUE(matches_host("a.b", "a.b"));
    EXPECT_FALSE(matches_host("a.b", "x.a.b"));
    EXPECT_TRUE(matches_host("*.a.b", "x.a.b"));
    EXPECT_TRUE(matches_host("*.a.b", "y.x.a.b"));
    EXPECT_FALSE(matches_host("*.a.b", "a.b"));
    EXPECT_FALSE(matches_host("*.a.b", "xa.b"));
    EXPECT_FALSE(matches_host("*.a.b", "x.a.b.evil"));
    EXPECT_FALSE(matches_host("*.a.b", ".a.b"));
}

TEST(AttachedHeaders, TheMostSpecificPatternAloneCounts) {
    const HeaderRules rules{{"*.b.c", {{"A", "wide"}}}, {"*.a.b.c", {{"A", "near"}}}, {"x.a.b.c", {{"A", "own"}}}};
    const auto value = [&](const char* host) {
        const Pairs* headers = headers_for(rules, host);
        return headers == nullptr ? "" : headers->front().second;
    };
    EXPECT_EQ(value("x.a.b.c"), "own");
    EXPECT_EQ(value("y.a.b.c"), "near");
    EXPECT_EQ(value("z.x.a.b.c"), "near");
    EXPECT_EQ(value("a.b.c"), "wide");
    EXPECT_EQ(value("b.c"), "");
}

TEST(AttachedHeaders, AFieldIsOneThatCanBeAttached) {
    EXPECT_TRUE(check_header("X-Api-Key", "a b\tc \xc3\xbc").ok());
    for (const char* name : {"", "A B", "A:", "Host", "CONTENT-LENGTH", "transfer-encoding", "Connection", "TE",
                             "Upgrade", "Expect", "Proxy-Authorization", "Sec-WebSocket-Key", "Keep-Alive", "A\r\nB"}) {
        EXPECT_FALSE(check_header(name, "x").ok()) << name;
    }
    for (const std::string& value :
         {std::string(), std::string("a\r\nB: c"), std::string("a\nb"), std::string("a\0b", 3), std::string(" a"),
          std::string("a\t"), std::string("\x7f"), std::string(8193, 'a')}) {
        const auto checked = check_header("A", value);
        ASSERT_FALSE(checked.ok());
        EXPECT_TRUE(value.size() < 3 || checked.error().message.find(value) == std::string::npos);
    }
}

TEST(Authority, SignsHostsForWhoTrustsItAlone) {
    auto files = make_authority("one");
    auto others = make_authority("one");
    ASSERT_TRUE(files.ok() && others.ok());
    EXPECT_NE(files->key, others->key);
    EXPECT_EQ(subject_hash(files->certificate).value(), subject_hash(others->certificate).value());
    const auto authority = Authority::open(files.value());
    ASSERT_TRUE(authority.ok()) << authority.error().message;
    const auto context = authority.value()->context_of("api.example.com");
    ASSERT_TRUE(context.ok()) << context.error().message;
    EXPECT_EQ(authority.value()->context_of("api.example.com").value(), context.value()) << "kept";
    X509* const shown = SSL_CTX_get0_certificate(context.value()->native_handle());
    EXPECT_EQ(X509_check_host(shown, "api.example.com", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_host(shown, "example.com", 0, 0, nullptr), 0);
    const auto verifies = [&](const std::string& certificate) {
        BIO* memory = BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
        X509* const trusted = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
        X509_STORE* const store = X509_STORE_new();
        X509_STORE_add_cert(store, trusted);
        X509_STORE_CTX* const check = X509_STORE_CTX_new();
        X509_STORE_CTX_init(check, store, shown, nullptr);
        X509_STORE_CTX_set_flags(check, X509_V_FLAG_X509_STRICT);
        X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_SERVER);
        const bool good = X509_verify_cert(check) == 1;
        EXPECT_TRUE(good || certificate == others->certificate)
            << X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
        X509_STORE_CTX_free(check);
        X509_STORE_free(store);
        X509_free(trusted);
        BIO_free(memory);
        return good;
    };
    EXPECT_TRUE(verifies(files->certificate));
    EXPECT_FALSE(verifies(others->certificate)) << "of another box";
    EXPECT_FALSE(Authority::open({"no key", files->certificate}).ok());
}

}  // namespace
}  // namespace hutch::daemon
