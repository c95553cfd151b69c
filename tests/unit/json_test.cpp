// The one reader of strangers' JSON: its bounds, and what becomes of numbers and texts.

#include "daemon/wire/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "daemon/wire/place.h"

namespace hutch::daemon {
namespace {

using testing::StartsWith;

std::string repeated(const char* text, size_t times) {
    std::string all;
    for (size_t i = 0; i < times; ++i) all += text;
    return all;
}

std::string fault_of(const std::string& text, const JsonBounds& bounds = {}) {
    const auto json = parse_json(text, bounds);
    return json.ok() ? "" : json.error().message;
}

TEST(ParseJson, BuildsWhatTheTextSays) {
    for (const char* text : {"{}", "[]", "null", "true", "-1", "18446744073709551615", "1.5", "\"a\\u00e4\\n\"",
                             R"({"a":[1,{"b":[[],{}]},null],"c":{"d":"e"}})", "[[1,2],[3],[]]"}) {
        const auto json = parse_json(text);
        ASSERT_TRUE(json.ok()) << text << ": " << json.error().message;
        EXPECT_EQ(json.value(), Json::parse(text)) << text;
    }
    EXPECT_EQ(parse_json(R"({"a":1,"a":{"b":2},"a":[3]})").value(), Json::parse(R"({"a":[3]})"));
}

TEST(ParseJson, RefusesWhatIsNone) {
    for (const char* text :
         {"", " ", "{", "[1,]", "{\"a\"}", "{} {}", "1e400", "nan", "\"\xff\"", "\"\\ud800\"", "01"}) {
        EXPECT_THAT(fault_of(text), StartsWith("not valid JSON, at byte ")) << text;
    }
}

TEST(ParseJson, IsBoundedInDepth) {
    const auto nested = [](size_t depth) { return repeated("[", depth) + repeated("]", depth); };
    EXPECT_EQ(fault_of(nested(64)), "");
    EXPECT_EQ(fault_of(nested(65)), "JSON nested deeper than 64 levels");
    EXPECT_EQ(fault_of(repeated("[", 4'000'000)), "JSON nested deeper than 64 levels");
    EXPECT_EQ(fault_of(repeated("{\"a\":", 1'000'000)), "JSON nested deeper than 64 levels");
    EXPECT_EQ(fault_of(nested(3), {.depth = 2}), "JSON nested deeper than 2 levels");
    EXPECT_EQ(fault_of("[" + repeated("[[]],", 1000) + "1]"), "") << "side by side is not within";
}

TEST(ParseJson, IsBoundedInValuesAndBytes) {
    EXPECT_EQ(fault_of("[" + repeated("0,", 99'998) + "0]"), "");
    EXPECT_EQ(fault_of("[" + repeated("0,", 99'999) + "0]"), "JSON of more than 100000 values");
    EXPECT_EQ(fault_of("[" + repeated("[],", 4'000'000)), "JSON of more than 100000 values");
    EXPECT_EQ(fault_of("{" + repeated("\"a\":0,", 200'000)), "JSON of more than 100000 values");
    EXPECT_EQ(fault_of("[1,2]", {.bytes = 4}), "JSON of more than 4 bytes");
}

TEST(DumpJson, IsTextWhateverIsInIt) {
    EXPECT_EQ(dump(Json("a\xff z")), "\"a\xEF\xBF\xBD z\"");
    EXPECT_EQ(dump_ascii(Json("\xff\xc3\xa4")), "\"\\ufffd\\u00e4\"");
}

TEST(WholeNumber, IsCheckedBeforeItIsAnInteger) {
    const auto of = [](const char* text) { return whole_number(Json::parse(text)); };
    EXPECT_EQ(of("3"), 3);
    EXPECT_EQ(of("-3.0"), -3);
    EXPECT_EQ(of("3e2"), 300);
    EXPECT_EQ(of("9223372036854775807"), INT64_MAX);
    EXPECT_EQ(of("-9223372036854775808"), INT64_MIN);
    for (const char* text : {"9223372036854775808", "18446744073709551615", "9223372036854775808.0", "1e300", "-1e300",
                             "1.5", "\"3\"", "true", "null", "[]"}) {
        EXPECT_EQ(of(text), std::nullopt) << text;
    }
    EXPECT_EQ(whole_number(Json(std::nan(""))), std::nullopt);
    EXPECT_EQ(whole_number(Json(HUGE_VAL)), std::nullopt);
}

TEST(Members, AreWhatTheyMayBe) {
    const Json json = Json::parse(R"({"huge":1e300,"less":-1e300,"many":18446744073709551615,"some":7,"text":"x"})");
    EXPECT_EQ(count_at(json, "huge"), kMostCounted);
    EXPECT_EQ(count_at(json, "less"), 0);
    EXPECT_EQ(count_at(json, "many"), kMostCounted);
    EXPECT_EQ(count_at(json, "some"), 7);
    EXPECT_EQ(count_at(json, "text"), 0);
    EXPECT_EQ(amount_at(Json{{"a", std::nan("")}}, "a"), 0);
    EXPECT_EQ(amount_at(Json{{"a", HUGE_VAL}}, "a"), static_cast<double>(kMostCounted));
    for (const Json& none : {Json(), Json("x"), Json::array({1}), Json(1), Json::object()}) {
        EXPECT_EQ(count_at(none, "a"), 0);
        EXPECT_EQ(text_at(none, "a"), "");
        EXPECT_FALSE(flag_at(none, "a"));
        EXPECT_TRUE(object_at(none, "a").is_object());
        EXPECT_TRUE(array_at(none, "a").is_array());
    }
}

TEST(Place, IsShortWhateverTheNames) {
    const std::string name(1'000'000, 'n');
    const Place root("$");
    const Place member(root, '.', name);
    const Place item(member, 3);
    EXPECT_EQ(item.text(), "$." + std::string(100, 'n') + "...[3]");
    EXPECT_EQ(Place(root, '.', "a").text(), "$.a");
}

}  // namespace
}  // namespace hutch::daemon
