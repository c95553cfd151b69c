#include "daemon/toml.h"

#include <gtest/gtest.h>

namespace hutch::daemon {
namespace {

std::string problem_of(std::string_view line) {
    const TomlFile file = parse_toml(line);
    EXPECT_TRUE(file.entries.empty()) << line;
    return file.problems.size() == 1 ? file.problems.front().what : "";
}

TEST(Toml, ReadsTextNumbersAndFlags) {
    const TomlFile file = parse_toml(
        "# a comment\n"
        "\r\n"
        "text = \"a # b\"  # a comment\n"
        "\tsame='C:\\new'\r\n"
        "escaped = \"\\\"x\\\\\"\n"
        "number = 60_000\n"
        "price=0.5# a comment\n"
        "flag = true");
    EXPECT_TRUE(file.problems.empty());
    ASSERT_EQ(file.entries.size(), 6U);
    const std::vector<TomlEntry>& all = file.entries;
    EXPECT_EQ(all[0].line, 3U);
    EXPECT_EQ(all[0].value, "a # b");
    EXPECT_EQ(all[1].value, "C:\\new");
    EXPECT_EQ(all[2].value, "\"x\\");
    EXPECT_EQ(all[3].value, "60000");
    EXPECT_EQ(all[3].type, TomlType::kNumber);
    EXPECT_EQ(all[4].value, "0.5");
    EXPECT_EQ(all[5].line, 8U);
    EXPECT_EQ(all[5].type, TomlType::kFlag);
}

TEST(Toml, RefusesWhatIsNotOptionEqualsValue) {
    for (const char* const line : {"[table]", "[[array]]"}) EXPECT_EQ(problem_of(line).find("there are no tables"), 0U);
    for (const char* const line : {"word", "= 1", "a b = 1", "\"a\" = 1", "a.b = 1", "a: 1", "\x01"}) {
        EXPECT_EQ(problem_of(line).find("every line must be OPTION = VALUE"), 0U) << line;
    }
    for (const char* const line : {"a =", "a = # 1"}) EXPECT_EQ(problem_of(line), "a: has no value");
    for (const char* const line : {"a = [1]", "a = {b = 1}"}) {
        EXPECT_EQ(problem_of(line), "a: must be one value, not a list or a table");
    }
    EXPECT_EQ(problem_of("a = text"), "a: must be in quotes: \"text\"");
    EXPECT_EQ(problem_of("a = True"), "a: must be in quotes: \"True\"");
    EXPECT_EQ(problem_of("a = \"x"), "a: has no \" at its end");
    EXPECT_EQ(problem_of("a = 'x\""), "a: has no ' at its end");
    EXPECT_EQ(problem_of("a = \"x\\\""), "a: has no \" at its end");
    EXPECT_EQ(problem_of("a = \"\\n\"").find("a: has a backslash"), 0U);
    EXPECT_EQ(problem_of("a = \"\x1b\"").find("a: has a control character"), 0U);
    EXPECT_EQ(problem_of("a = \"x\" y"), "a: has more behind its value: y");
    EXPECT_EQ(problem_of("a = 1 2"), "a: has more behind its value: 2");
    EXPECT_EQ(problem_of("a = \"\"\"x\"\"\"").find("a: has more behind its value"), 0U);
}

TEST(Toml, TellsEveryProblemWithItsLine) {
    const TomlFile file = parse_toml("a = 1\nb\n\nc = [\nd = 2\n");
    ASSERT_EQ(file.problems.size(), 2U);
    EXPECT_EQ(file.problems[0].line, 2U);
    EXPECT_EQ(file.problems[1].line, 4U);
    EXPECT_EQ(file.entries.size(), 2U);
}

TEST(Toml, WhatIsWrittenInQuotesIsReadAsItWas) {
    const std::string text = "a \"b\" \\ # 'c'";
    EXPECT_EQ(parse_toml("x = " + toml_quoted(text)).entries.at(0).value, text);
}

}  // namespace
}  // namespace hutch::daemon
