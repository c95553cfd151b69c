#include "daemon/wire/opening.h"

#include <gtest/gtest.h>

namespace hutch::daemon {
namespace {

using Kind = Opening::Kind;

std::string number(size_t value, size_t size) {
    std::string bytes;
    for (size_t left = size; left-- > 0;) bytes += static_cast<char>(value >> (8 * left) & 0xff);
    return bytes;
}
std::string list(size_t size_of_length, const std::string& bytes) {
    return number(bytes.size(), size_of_length) + bytes;
}
std::string extension(size_t type, const std::string& bytes) {
    return number(type, 2) + list(2, bytes);
}
std::string server_name(const std::string& name) {
    return extension(0, list(2, std::string(1, '\0') + list(2, name)));
}
std::string record(const std::string& bytes) {
    return "\x16\x03\x01" + list(2, bytes);
}
std::string handshake_of(const std::string& extensions) {
    const std::string body = "\x03\x03" + std::string(32, 'r') + list(1, "session") + list(2, "\x13\x01") +
                             list(1, std::string(1, '\0')) + list(2, extensions);
    return '\x01' + list(3, body);
}
std::string hello(const std::string& extensions) {
    return record(handshake_of(extensions));
}

Opening look(const std::string& bytes) {
    return OpeningScan().look(bytes);
}
std::string name_in(const std::string& extensions) {
    const Opening opening = look(hello(extensions));
    EXPECT_EQ(opening.kind, Kind::kTls);
    return opening.name;
}
std::string host_in(const std::string& host) {
    return look("GET / HTTP/1.1\r\nAccept: */*\r\n" + host + "\r\n\r\n").name;
}

TEST(Opening, TellsTheServerNameOfTls) {
    const std::string other = extension(43, "\x02\x03\x04");
    EXPECT_EQ(name_in(other + server_name("API.Example.com") + other), "api.example.com");
    EXPECT_EQ(name_in(other), "");
    EXPECT_EQ(look(hello(server_name("a.b")) + "what follows").name, "a.b");
}

TEST(Opening, TellsThatAHelloMayHideAnotherName) {
    const std::string encrypted = extension(0xfe0d, "x");
    EXPECT_TRUE(look(hello(server_name("a.b") + encrypted)).hides_name);
    EXPECT_TRUE(look(hello(encrypted + server_name("a.b"))).hides_name);
    EXPECT_FALSE(look(hello(server_name("a.b"))).hides_name);
}

TEST(Opening, WaitsUntilAllOfAHelloIsThere) {
    const std::string handshake = handshake_of(server_name("one.example"));
    const std::string whole =
        record(handshake.substr(0, 3)) + record(handshake.substr(3, 40)) + record(handshake.substr(43));
    OpeningScan scan;
    for (size_t size = 0; size < whole.size(); ++size) {
        ASSERT_EQ(scan.look(whole.substr(0, size)).kind, Kind::kUnknown) << size;
    }
    EXPECT_EQ(scan.look(whole).name, "one.example");
}

TEST(Opening, TellsNoNameThatTwoWouldReadDifferently) {
    EXPECT_EQ(name_in(server_name("a.example") + server_name("b.example")), "") << "twice";
    const std::string host = std::string(1, '\0') + list(2, "a.example");
    EXPECT_EQ(name_in(extension(0, list(2, host + host))), "") << "two in one list";
    EXPECT_EQ(name_in(extension(0, list(2, host) + "x")), "") << "bytes behind the list";
    EXPECT_EQ(name_in(extension(0, list(2, "\x01" + list(2, "a.example")))), "") << "of another type";
    EXPECT_EQ(name_in(server_name("a.example") + "x"), "") << "a broken extension behind it";
    EXPECT_EQ(name_in(server_name("")), "");
    EXPECT_EQ(name_in(server_name(std::string("a.example\0.b", 12))), "");
    EXPECT_EQ(name_in(server_name("a..example")), "");
    EXPECT_EQ(name_in(server_name(".example")), "");
    EXPECT_EQ(name_in(server_name("b\xc3\xbc.example")), "");
    EXPECT_EQ(name_in(server_name(std::string(254, 'a'))), "");
}

TEST(Opening, TellsTheHostOfHttp) {
    EXPECT_EQ(host_in("Host: One.Example"), "one.example");
    EXPECT_EQ(host_in("hOST:one.example.:8080 "), "one.example");
    EXPECT_EQ(host_in("Host: one.example..:80"), "");
    EXPECT_EQ(host_in("Host: [::1]:80"), "");
    EXPECT_EQ(host_in("Host: one.example:80x"), "");
    EXPECT_EQ(look("POST / HTTP/1.1\r\nHost: a\r\n").kind, Kind::kUnknown);
}

TEST(Opening, TakesNothingForHttpThatTwoWouldReadDifferently) {
    for (const char* head :
         {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET / HTTP/1.1\nHost: a\n\n", "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
          "GET / HTTP/1.1\r\nX: y\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\nX: y\r\n\r\n"}) {
        const Opening opening = look(head);
        EXPECT_EQ(opening.kind, Kind::kOther) << head;
        EXPECT_EQ(opening.name, "") << head;
    }
}

TEST(Opening, KnowsWhatIsNeither) {
    EXPECT_EQ(look("").kind, Kind::kUnknown);
    EXPECT_EQ(look("\x16").kind, Kind::kUnknown);
    EXPECT_EQ(look("\x16\x02").kind, Kind::kOther);
    EXPECT_EQ(look(std::string("\x16\x03\x01\x00\x00", 5)).kind, Kind::kOther) << "an empty record";
    EXPECT_EQ(look(record("\x02" + list(3, "server hello"))).kind, Kind::kOther);
    EXPECT_EQ(look("SSH-2.0-OpenSSH_9.2\r\n").kind, Kind::kOther);
    EXPECT_EQ(look("EHLO a\r\n").kind, Kind::kOther);
    EXPECT_EQ(look(std::string("\0\0", 2)).kind, Kind::kOther);
}

TEST(Opening, IsBounded) {
    EXPECT_EQ(look(record('\x01' + number(OpeningScan::kMostBytes + 1, 3))).kind, Kind::kTls);
    EXPECT_EQ(look("GET /" + std::string(OpeningScan::kMostBytes, 'a')).kind, Kind::kOther);
}

}  // namespace
}  // namespace hutch::daemon
