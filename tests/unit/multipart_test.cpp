// Forms: the same in pieces of any size, and work in proportion to their bytes.

#include "daemon/wire/multipart.h"

#include <gtest/gtest.h>

namespace hutch::daemon {
namespace {

std::string flatten(const std::string& body, size_t piece) {
    auto multipart = Multipart::open("multipart/form-data; boundary=XX");
    std::string seen;
    for (size_t at = 0; at < body.size(); at += piece) {
        const auto events = multipart.value().feed(body.substr(at, piece));
        if (!events.ok()) return "error: " + events.error().message;
        for (const auto& event : events.value()) {
            if (event.kind == Multipart::Event::Kind::kPart)
                seen += "<" + event.name + ":" + event.filename.value_or("-") + ">";
            if (event.kind == Multipart::Event::Kind::kData) seen += event.data;
            if (event.kind == Multipart::Event::Kind::kPartEnd) seen += "</>";
        }
    }
    return seen + (multipart.value().complete() ? "." : "?");
}

TEST(Multipart, IsTheSameInPiecesOfAnySize) {
    const std::string real =
        "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"paths\"\r\n\r\na/b.txt\r\n"
        "--XX\r\ncontent-disposition: form-data; name=files; filename=\"q\\\"uote\"\r\nContent-Type: x/y\r\n\r\n"
        "one\r\n--X\r\n\r\n-two\r\n--XX\r\nContent-Disposition: form-data; "
        "name=\"empty\"\r\n\r\n\r\n--XX\r\nContent-Disposition: form-data; name=none\r\n\r\n--XX--\r\nepilogue";
    const std::string expected = "<paths:->a/b.txt</><files:q\"uote>one\r\n--X\r\n\r\n-two</><empty:-></><none:-></>.";
    for (size_t piece = 1; piece <= real.size(); ++piece) EXPECT_EQ(flatten(real, piece), expected) << piece;
}

TEST(Multipart, RefusesWhatIsNone) {
    EXPECT_FALSE(Multipart::open("application/json").ok());
    EXPECT_FALSE(Multipart::open("multipart/form-data").ok());
    EXPECT_EQ(flatten("--XXbad", 100).substr(0, 6), "error:");
    EXPECT_EQ(flatten("--XX\r\nX-Other: 1\r\n\r\n", 100).substr(0, 6), "error:");
    EXPECT_EQ(flatten("--XX\r\n" + std::string(9000, 'h'), 1000).substr(0, 6), "error:");
    EXPECT_EQ(flatten("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\ncut", 5).back(), '?');
}

TEST(Multipart, ReadsParametersOneByOne) {
    const auto name_of = [](const std::string& rest) {
        return flatten("--XX\r\nContent-Disposition: form-data" + rest + "\r\n\r\n\r\n--XX--", 1000);
    };
    EXPECT_EQ(name_of("; filename=\"a; name=b\"; name=c"), "<c:a; name=b></>.");
    EXPECT_EQ(name_of(";;; ;\tNAME=c;name=d"), "<c:-></>.");
    EXPECT_EQ(name_of("; filename=\"unended").substr(0, 6), "error:");
    EXPECT_EQ(name_of("; name").substr(0, 6), "error:");
    EXPECT_FALSE(Multipart::open("multipart/form-data; xboundary=XX").ok());
}

// Bytes moved or looked at for a body of so many parts.
uint64_t work_of(size_t parts, size_t piece) {
    std::string body;
    for (size_t i = 0; i < parts; ++i) body += "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    body += "--XX--";
    auto multipart = Multipart::open("multipart/form-data; boundary=XX");
    for (size_t at = 0; at < body.size(); at += piece) EXPECT_TRUE(multipart->feed(body.substr(at, piece)).ok());
    EXPECT_TRUE(multipart->complete());
    return multipart->work();
}

TEST(Multipart, WorksInProportionToItsBytes) {
    for (const size_t piece : {size_t{1} << 30, size_t{4096}, size_t{1}}) {
        EXPECT_LE(work_of(16'000, piece), 20 * work_of(1'000, piece)) << piece;
    }
}

TEST(Multipart, IsBoundedInPartsAndHeaders) {
    std::string many;
    for (size_t i = 0; i <= Multipart::kMostParts; ++i) {
        many += "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    }
    EXPECT_EQ(flatten(many, many.size()), "error: body: more than 20010 parts");
    const std::string start = "--XX\r\nContent-Disposition: form-data; name=a\r\nX: ";
    const auto with_headers = [&](size_t size) {
        return start + std::string(size - (start.size() - 6), 'h') + "\r\n\r\n\r\n--XX--";
    };
    for (const size_t piece : {1U, 7U, 100'000U}) {
        EXPECT_EQ(flatten(with_headers(8192), piece), "<a:-></>.") << piece;
        EXPECT_EQ(flatten(with_headers(8193), piece).substr(0, 6), "error:") << piece;
    }
}

}  // namespace
}  // namespace hutch::daemon
