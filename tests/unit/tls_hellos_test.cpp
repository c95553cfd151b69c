#include "daemon/wire/tls_hellos.h"

#include <gtest/gtest.h>

#include <vector>

namespace hutch::daemon {
namespace {

std::string behind_its_length(size_t bytes, const std::string& text) {
    std::string length;
    for (size_t left = bytes; left-- > 0;) length += static_cast<char>(text.size() >> (8 * left) & 0xff);
    return length + text;
}
std::string record_of(char type, const std::string& content) {
    return std::string(1, type) + "\x03\x03" + behind_its_length(2, content);
}
std::string hello_to(const std::string& name) {
    const std::string host = std::string(1, '\0') + behind_its_length(2, name);
    const std::string extension = std::string(2, '\0') + behind_its_length(2, behind_its_length(2, host));
    const std::string body = "\x03\x03" + std::string(32, 'r') + behind_its_length(1, "") +
                             behind_its_length(2, "\x13\x01") + behind_its_length(1, std::string(1, '\0')) +
                             behind_its_length(2, extension);
    return '\x01' + behind_its_length(3, body);
}
const std::string kChange = record_of(20, "\x01"), kData = record_of(23, "secret"),
                  kKeys = record_of(22, "\x10\x01\x01\x01");

/// The names it was asked about; "no" is not passed on.
std::string followed(const std::string& sent, size_t piece) {
    std::string names;
    TlsHellos hellos([&](const Opening& hello) {
        names += hello.name + " ";
        return hello.name != "no";
    });
    for (size_t at = 0; at < sent.size(); at += piece) {
        if (!hellos.take(std::string_view(sent).substr(at, piece))) return names + "refused";
    }
    return names;
}
std::string followed(const std::string& sent) {
    const std::string whole = followed(sent, sent.size());
    for (const size_t piece : {1, 3, 64}) EXPECT_EQ(followed(sent, piece), whole) << piece;
    return whole;
}

TEST(TlsHellos, TheSecondOneIsAskedAboutToo) {
    const std::string first = record_of(22, hello_to("a")), again = record_of(22, hello_to("no"));
    EXPECT_EQ(followed(first + kChange + again + kData), "a no refused");
    EXPECT_EQ(followed(first + again), "a no refused");
    EXPECT_EQ(followed(first + kChange + first + kData), "a a ");
    EXPECT_EQ(followed(again), "no refused");
}

TEST(TlsHellos, NothingIsReadOnceTheHandshakeGoesOn) {
    const std::string first = record_of(22, hello_to("a")), again = record_of(22, hello_to("no"));
    for (const std::string& next : {kData, kKeys}) EXPECT_EQ(followed(first + next + again), "a ");
    EXPECT_EQ(followed(first + first + again), "a a ") << "a server takes no third one";
}

TEST(TlsHellos, InPiecesOrWithMoreInItsRecordAHelloHidesNothing) {
    const std::string again = hello_to("no");
    EXPECT_EQ(followed(record_of(22, hello_to("a") + again)), "refused");
    EXPECT_EQ(
        followed(record_of(22, hello_to("a")) + record_of(22, again.substr(0, 1)) + record_of(22, again.substr(1))),
        "a no refused");
    EXPECT_EQ(followed(record_of(22, "")), "refused");
    EXPECT_EQ(followed(record_of(22, "\x01\xff\xff\xff" + std::string(16 * 1024, 'x'))), "refused");
}

}  // namespace
}  // namespace hutch::daemon
