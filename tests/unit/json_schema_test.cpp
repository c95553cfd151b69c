// Schemas that are taken, and values that are valid by them.

#include "daemon/wire/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hutch::daemon {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

struct Case {
    const char* schema;
    std::vector<const char*> valid;
    std::vector<const char*> invalid;
};

const Case kCases[] = {
    {R"({})", {"1", "null", R"({"a":1})"}, {"", "{", "1 2", "```json\n1\n```"}},
    {R"({"type":"integer"})", {"1", "1.0", "-3"}, {"1.5", "\"1\"", "null", "true"}},
    {R"({"type":["string","null"]})", {"\"a\"", "null"}, {"1", "{}"}},
    {R"({"enum":["a",1,{"b":[]}]})", {"\"a\"", "1", "1.0", R"({"b":[]})"}, {"\"b\"", "{}"}},
    {R"({"const":{"a":1}})", {R"({"a":1})"}, {R"({"a":2})", "1"}},
    {R"({"properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false})",
     {R"({"a":"x"})", "[]", "1"},
     {"{}", R"({"a":1})", R"({"a":"x","b":1})"}},
    {R"({"additionalProperties":{"type":"number"},"minProperties":1,"maxProperties":2})",
     {R"({"a":1})"},
     {"{}", R"({"a":"x"})", R"({"a":1,"b":2,"c":3})"}},
    {R"({"items":{"minimum":0,"exclusiveMaximum":10},"minItems":1,"maxItems":2})",
     {"[0]", "[9.9,\"x\"]"},
     {"[]", "[10]", "[-1]", "[1,2,3]"}},
    {R"({"items":[{"type":"string"},{"type":"number"}],"additionalItems":false})",
     {"[]", R"(["a"])", R"(["a",1])"},
     {"[1]", R"(["a","b"])", R"(["a",1,1])"}},
    {R"({"minLength":2,"maxLength":3})", {"\"äö\"", "\"abc\"", "1"}, {"\"ä\"", "\"abcd\""}},
    {R"({"multipleOf":0.1})", {"0.3", "7"}, {"0.35"}},
    {R"({"anyOf":[{"type":"string"},{"minimum":5}]})", {"\"a\"", "5"}, {"4"}},
    {R"({"oneOf":[{"type":"integer"},{"minimum":5}]})", {"1", "5.5"}, {"5", "4.5"}},
    {R"({"allOf":[{"type":"integer"},{"minimum":5}]})", {"5"}, {"4", "5.5"}},
    {R"({"not":{"type":"string"},"properties":{"a":{"not":{}},"b":false}})",
     {"1", "{}"},
     {"\"a\"", R"({"a":1})", R"({"b":1})"}},
    {R"({"$defs":{"node":{"properties":{"next":{"$ref":"#/$defs/node"}},"required":["v"]}},"$ref":"#/$defs/node"})",
     {R"({"v":1})", R"({"v":1,"next":{"v":2}})"},
     {"{}", R"({"v":1,"next":{"v":1,"next":{}}})"}},
    {R"({"properties":{"a":{"type":"string"},"b":{"$ref":"#/properties/a"}}})", {R"({"b":"x"})"}, {R"({"b":1})"}},
    {R"({"$schema":"x","title":"x","description":"x","default":1,"format":"email","examples":[1]})", {"\"x\""}, {}},
};

TEST(JsonSchema, TellsWhatIsValid) {
    for (const Case& each : kCases) {
        const Json schema = Json::parse(each.schema);
        const auto checked = check_schema(schema);
        ASSERT_TRUE(checked.ok()) << each.schema << ": " << checked.error().message;
        for (const char* value : each.valid) {
            EXPECT_EQ(violation_of(schema, value).value_or("none"), "none") << each.schema << " of " << value;
        }
        for (const char* value : each.invalid)
            EXPECT_TRUE(violation_of(schema, value)) << each.schema << " of " << value;
    }
}

TEST(JsonSchema, NamesThePlaceAndTheRule) {
    const Json schema = Json::parse(
        R"({"properties":{"a":{"items":{"properties":{"b":{"type":"integer"}},"required":["b"]}}},"required":["a"]})");
    EXPECT_EQ(violation_of(schema, R"({"a":[{"b":1},{"b":"x"}]})"), R"($.a[1].b: must be of type "integer")");
    EXPECT_EQ(violation_of(schema, R"({"a":[{}]})"), R"($.a[0]: "b" is required)");
    EXPECT_EQ(violation_of(schema, "{}"), R"($: "a" is required)");
    EXPECT_EQ(violation_of(Json{{"enum", {"a", "b"}}}, "1"), R"($: must be one of ["a","b"])");
}

TEST(JsonSchema, RefusesWhatItDoesNotCheck) {
    const auto refusal = [](const char* schema) { return check_schema(Json::parse(schema)).error().message; };
    EXPECT_THAT(refusal(R"({"properties":{"a":{"pattern":"x"}}})"),
                StartsWith(R"(json_schema: #/properties/a: the keyword "pattern" is none)"));
    EXPECT_THAT(refusal(R"({"items":[{"uniqueItems":true}]})"), HasSubstr("#/items/0"));
    EXPECT_THAT(refusal(R"({"type":"text"})"), StartsWith("json_schema: #/type: "));
    for (const char* schema :
         {R"({"type":[]})", R"({"required":"a"})", R"({"required":[1]})", R"({"anyOf":[]})", R"({"anyOf":{}})",
          R"({"enum":1})", R"({"properties":[]})", R"({"properties":{"a":1}})", R"({"minItems":-1})",
          R"({"minItems":1.5})", R"({"minimum":"1"})", R"({"exclusiveMinimum":true})", R"({"not":1})", R"({"$ref":1})",
          R"({"$ref":"#/nowhere"})", R"({"$ref":"http://x/y"})", R"({"$ref":"#x"})", R"({"$ref":"#/a~"})",
          R"({"$ref":"#/title","title":"x"})"}) {
        EXPECT_FALSE(check_schema(Json::parse(schema)).ok()) << schema;
    }
}

TEST(JsonSchema, EndsWhateverItIsGiven) {
    const Json circle = Json::parse(R"({"$ref":"#"})");
    ASSERT_TRUE(check_schema(circle).ok());
    EXPECT_THAT(violation_of(circle, "1").value_or(""), HasSubstr("too large to be checked"));
    Json doubling = Json::parse(R"({"$defs":{"d0":{}},"$ref":"#/$defs/d60"})");
    for (int i = 0; i < 60; ++i) {
        const Json below{{"$ref", "#/$defs/d" + std::to_string(i)}};
        doubling["$defs"]["d" + std::to_string(i + 1)] = {{"allOf", {below, below}}};
    }
    ASSERT_TRUE(check_schema(doubling).ok());
    EXPECT_THAT(violation_of(doubling, "1").value_or(""), HasSubstr("too large to be checked"));
    EXPECT_THAT(violation_of(Json{{"not", circle}}, "1").value_or(""), HasSubstr("too large to be checked"));
    Json deep = Json::object();
    for (int i = 0; i < 5000; ++i) deep = {{"not", deep}};
    EXPECT_FALSE(check_schema(deep).ok());
    EXPECT_TRUE(violation_of(Json{{"type", "string"}}, std::string(1'000'000, '[')));
}

}  // namespace
}  // namespace hutch::daemon
