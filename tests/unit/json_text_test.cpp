#include "daemon/wire/json_text.h"
#include "daemon/api/json_rows.h"

#include <gtest/gtest.h>

#include <random>

#include "daemon/api/codec.h"

namespace hutch::daemon {
namespace {

std::string whole(const Json& json) {
    JsonText text(json);
    std::string all;
    for (std::string piece = text.next(); !piece.empty(); piece = text.next()) all += piece;
    return all;
}

TEST(JsonText, IsWhatTheLibraryWrites) {
    const Json json{{"text", "a\"b\\c\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
                    {"numbers", {0, -1, 1.5, 1e300, 18446744073709551615ULL}},
                    {"nothing", {nullptr, true, false, Json::array(), Json::object(), ""}},
                    {"deep", {{{"k\n", {1, {2, {3}}}}}}}};
    EXPECT_EQ(whole(json), dump(json));
    for (const Json& bare : {Json(), Json("x"), Json(7), Json::array(), Json::object()}) {
        EXPECT_EQ(whole(bare), dump(bare));
    }
}

// Of every length around the slices' ends, so that each character is once where a slice might part it.
TEST(JsonText, PartsNoCharacter) {
    for (size_t length = 4080; length < 4100; ++length) {
        for (const char* character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x80", "\xe2\x82", "\xff"}) {
            std::string text(length, 'x');
            for (int i = 0; i < 5000; ++i) text += character;
            EXPECT_EQ(whole(Json(text)), dump(Json(text))) << length;
        }
    }
}

TEST(JsonText, ReplacesBytesThatAreNoTextAsTheLibraryDoes) {
    std::mt19937 dice(1);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (int i = 0; i < 40; ++i)
            text += static_cast<char>("\x00\x41\x7f\x80\xbf\xc2\xe0\xa0\xed\xf0\x90\xf4"[dice() % 12]);
        ASSERT_EQ(whole(Json(text)), dump(Json(text)));
    }
}

TEST(JsonText, WritesAPieceAtATime) {
    const Json json{{"output", std::string(1 << 20, '\x01')}};
    JsonText text(json);
    size_t all = 0;
    size_t most = 0;
    for (std::string piece = text.next(); !piece.empty(); piece = text.next()) {
        all += piece.size();
        most = std::max(most, piece.size());
    }
    EXPECT_EQ(all, dump(json).size());
    EXPECT_LT(most, 2 * JsonText::kPiece);
}

TEST(JsonRows, CountWhatTheyHold) {
    const auto budget = std::make_shared<MemoryBudget>(2'000);
    MemoryShare share(budget, "a");
    JsonRows rows("files", share);
    size_t added = 0;
    while (rows.add(Json{{"name", "x"}}).ok()) ++added;
    EXPECT_GT(added, 60U);
    EXPECT_LE(share.held(), 1'000U);
    EXPECT_EQ(Json::parse(rows.finish())["files"].size(), added);
}

}  // namespace
}  // namespace hutch::daemon
