#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/build/config.h"
#include "client/build/context.h"
#include "client/build/plan.h"
#include "client/build/words.h"

namespace hutch::client {
namespace {

namespace fs = std::filesystem;

Containerfile parsed(std::string_view text) {
    auto file = parse_containerfile("F", text);
    EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
    return file.ok() ? std::move(file).value() : Containerfile();
}

std::string refused(std::string_view text) {
    const auto file = parse_containerfile("F", text);
    return file.ok() ? "" : file.error().message;
}

std::string expanded(std::string_view text) {
    const std::map<std::string, std::string> known = {{"X", "x y"}, {"E", ""}, {"D", "d"}};
    const auto word = expand(
        text,
        [&known](const std::string& name) {
            const auto found = known.find(name);
            return found == known.end() ? std::nullopt : std::optional(found->second);
        },
        '\\');
    return word.ok() ? word.value() : "! " + word.error().message;
}

TEST(Containerfile, LinesGoOnAndCommentsAreNone) {
    const Containerfile file = parsed(
        "\xEF\xBB\xBF# syntax=docker/dockerfile:1\r\n"
        "\n"
        "from debian AS base\r\n"
        "  # a comment\n"
        "RUN one && \\\n"
        "    # within\n"
        "\n"
        "    two \\  \n"
        "    three\n"
        "CMD [\"a\", \"b\"]");
    ASSERT_EQ(file.instructions.size(), 3U);
    EXPECT_EQ(file.instructions[0].name, "FROM");
    EXPECT_EQ(file.instructions[0].line, 3U);
    EXPECT_EQ(file.instructions[1].text, "one &&     two     three");
    EXPECT_EQ(file.instructions[1].line, 5U);
    EXPECT_EQ(file.instructions[2].line, 10U);
    EXPECT_EQ(exec_form(file.instructions[2].text), (std::vector<std::string>{"a", "b"}));
}

TEST(Containerfile, TheEscapeIsSaidAboveAllElse) {
    EXPECT_EQ(parsed("# escape=`\nFROM a\nRUN one `\ntwo\n").instructions[1].text, "one two");
    EXPECT_EQ(parsed("# a comment\n# escape=`\nFROM a\nRUN one `\n").instructions[1].text, "one `");
}

TEST(Containerfile, FlagsComeBeforeTheRest) {
    const Containerfile file = parsed("FROM a\nCOPY --chown=1:2 --link --from=b --chmod=755 x --y /z\n");
    const Instruction& copy = file.instructions[1];
    EXPECT_EQ(copy.flag("chown") + copy.flag("from") + copy.flag("chmod"), "1:2b755");
    EXPECT_EQ(copy.text, "x --y /z");
    EXPECT_EQ(parsed("FROM a\nRUN --mount=type=secret,id=x cat --help\n").instructions[1].text, "cat --help");
}

TEST(Containerfile, TextsAfterAnInstructionAreItsOwn) {
    const Containerfile file = parsed(
        "FROM a\n"
        "RUN <<EOF\n"
        "echo one \\\n"
        "RUN is a word here\n"
        "EOF\n"
        "COPY <<-'A' <<B /dir/\n"
        "\t$x\n"
        "\tA\n"
        "second\n"
        "B\n"
        "RUN echo $((1<<2)) <<<word\n");
    ASSERT_EQ(file.instructions.size(), 4U);
    ASSERT_EQ(file.instructions[1].heredocs.size(), 1U);
    EXPECT_EQ(file.instructions[1].heredocs[0].content, "echo one \\\nRUN is a word here\n");
    ASSERT_EQ(file.instructions[2].heredocs.size(), 2U);
    EXPECT_EQ(file.instructions[2].heredocs[0].content, "$x\n");
    EXPECT_FALSE(file.instructions[2].heredocs[0].expands);
    EXPECT_TRUE(file.instructions[2].heredocs[1].expands);
    EXPECT_TRUE(file.instructions[3].heredocs.empty());
}

TEST(Containerfile, WhatIsWrongIsSaidWithItsLine) {
    EXPECT_EQ(refused("FROM a\n\nRUNN x\n").substr(0, 27), "F:3: \"RUNN\" is no instructi");
    EXPECT_NE(refused("FROM a\nCOPY --colour=red a b\n").find("F:2: COPY has no flag --colour here; it takes"),
              std::string::npos);
    EXPECT_NE(refused("FROM a\nRUN <<EOF\nx\n").find("F:2: <<EOF has no end"), std::string::npos);
    EXPECT_NE(refused("FROM a\nENV\n").find("F:2: ENV says nothing"), std::string::npos);
    EXPECT_NE(refused("# nothing\n").find("has no instruction"), std::string::npos);
    EXPECT_NE(refused(std::string((1 << 20) + 1, '#')).find("larger than 1 MiB"), std::string::npos);
    std::string many = "FROM a\n";
    for (int i = 0; i < 10'000; ++i) many += "ARG A" + std::to_string(i) + "\n";
    EXPECT_NE(refused(many).find("F:10001: a file has at most 10,000"), std::string::npos);
    EXPECT_EQ(parsed(many.substr(0, many.rfind("ARG"))).instructions.size(), 10'000U);
}

TEST(Words, VariablesAreExpandedAsDockerDoes) {
    const std::pair<const char*, const char*> cases[] = {
        {"$X", "x y"},         {"${X}z", "x yz"}, {"$N", ""},           {"${N:-d}", "d"},  {"${E:-d}", "d"},
        {"${E-d}", ""},        {"${N-d}", "d"},   {"${X:+set}", "set"}, {"${E:+set}", ""}, {"${E+set}", "set"},
        {"${N:-${D}e}", "de"}, {"'$X'", "$X"},    {"\"$X\"", "x y"},    {"\\$X", "$X"},    {"\"\\$X\\n\"", "$X\\n"},
        {"a'b'\"c\"", "abc"},  {"$", "$"},        {"$5", "$5"},         {"${D?no}", "d"},  {"\"a\\\"b\"", "a\"b"},
    };
    for (const auto& [text, wanted] : cases) EXPECT_EQ(expanded(text), wanted) << text;
    for (const char* bad : {"${X", "${", "${}", "'x", "\"x", "${X:x}", "${X%y}"}) {
        EXPECT_EQ(expanded(bad).substr(0, 1), "!") << bad;
    }
    EXPECT_EQ(expanded("${N:?is wanted}"), "! N: is wanted");
}

TEST(Words, WhatGrowsWithoutEndIsRefused) {
    std::string nested;
    for (int i = 0; i < 1000; ++i) nested += "${N:-";
    EXPECT_NE(expanded(nested + std::string(1000, '}')).find("too deep"), std::string::npos);
    std::string value = "x";
    std::string last;
    for (int i = 0; i < 40 && last.empty(); ++i) {
        const auto twice = expand(
            "$A$A$A$A", [&value](const std::string&) { return std::optional(value); }, '\\');
        if (twice.ok()) value = twice.value();
        if (!twice.ok()) last = twice.error().message;
    }
    EXPECT_NE(last.find("more than 128 KiB"), std::string::npos);
}

TEST(Words, PairsAreOldAndNew) {
    using Pairs = std::vector<Pair>;
    EXPECT_EQ(split_pairs("A=1 B='2 3' C=\\ x", '\\').value(), (Pairs{{"A", "1"}, {"B", "'2 3'"}, {"C", "\\ x"}}));
    EXPECT_EQ(split_pairs("A some  words", '\\').value(), (Pairs{{"A", "some  words"}}));
    EXPECT_FALSE(split_pairs("A=1 B", '\\').ok());
    EXPECT_FALSE(split_pairs("A", '\\').ok());
}

TEST(Patterns, PartsAndWholePathsFit) {
    const std::tuple<const char*, const char*, bool> cases[] = {
        {"*.c", "a.c", true},    {"*.c", "d/a.c", false},  {"**/*.c", "d/e/a.c", true}, {"**/*.c", "a.c", true},
        {"a/**", "a/b/c", true}, {"a/**", "a", false},     {"a/**/c", "a/c", true},     {"?x", "ax", true},
        {"[a-c]x", "bx", true},  {"[^a-c]x", "bx", false}, {"[]]", "]", true},          {"\\*", "*", true},
        {"\\*", "a", false},     {"*", "a/b", false},      {"a*b*c", "aXbXbc", true},   {"", "", true},
        {"[a", "[a", true},      {"**", "x", true},
    };
    for (const auto& [pattern, path, fits] : cases)
        EXPECT_EQ(fits_pattern(pattern, path), fits) << pattern << " " << path;
    // Each star could begin anywhere, which must not multiply.
    EXPECT_FALSE(fits_pattern(std::string(200, '*') + "b", std::string(5000, 'a')));
    std::string stars;
    for (int i = 0; i < 100; ++i) stars += "*a";
    EXPECT_FALSE(fits_pattern(stars + "b", std::string(5000, 'a')));
}

TEST(Patterns, TheLastRuleThatFitsDecides) {
    const auto list =
        IgnoreList::parse(".dockerignore", "# no\n*.log\n/build/\n!keep.log\nsrc/**/*.o\n!build/keep\n  \n").value();
    for (const char* out : {"a.log", "build", "build/x", "src/a.o", "src/a/b.o"})
        EXPECT_TRUE(list.leaves_out(out)) << out;
    for (const char* in : {"keep.log", "d/a.log", "build/keep", "build/keep/x", "src", "src/a.c"}) {
        EXPECT_FALSE(list.leaves_out(in)) << in;
    }
}

TEST(Patterns, PathsAreOneWayToSayIt) {
    EXPECT_EQ(lexical_path("a//./b/../c/"), "a/c");
    EXPECT_EQ(lexical_path("/../.."), "/");
    EXPECT_EQ(lexical_path("../a"), "a");
}

Result<BuildPlan> planned(std::string_view text, std::map<std::string, std::string> given = {},
                          const std::string& target = "") {
    return plan_build(parsed(text), std::move(given), target, "");
}

TEST(Plan, OnlyWhatTheTargetNeedsIsBuilt) {
    auto plan = planned(
        "ARG BASE=debian\nARG TAG\nFROM ${BASE}${TAG:-} AS Build\nFROM other AS unused\n"
        "FROM build AS second\nFROM scratch\nCOPY --from=0 /x /\nRUN --mount=type=bind,from=second,target=/s x\n");
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->order, (std::vector<size_t>{0, 2, 3}));
    EXPECT_EQ(plan->stages[0].base, "debian");
    EXPECT_EQ(plan->stages[2].base_stage, std::optional<size_t>(0));
    auto other = planned("ARG BASE=debian\nFROM $BASE AS a\nFROM b\n", {{"BASE", "node"}}, "A");
    EXPECT_EQ(other->stages[other->target].base, "node");
}

TEST(Plan, NoStageNeedsALaterOneOrItself) {
    for (const char* text : {"FROM a AS x\nCOPY --from=y /x /\nFROM a AS y\nCOPY --from=x /x /\nFROM x\n",
                             "FROM a AS x\nCOPY --from=x /x /\n", "FROM a\nCOPY --from=0 /x /\n"}) {
        auto plan = planned(text);
        ASSERT_FALSE(plan.ok()) << text;
        EXPECT_NE(plan.error().message.find("F:2: --from="), std::string::npos) << plan.error().message;
    }
    EXPECT_FALSE(planned("FROM a AS x\nFROM b AS X\n").ok());
    EXPECT_FALSE(planned("RUN x\nFROM a\n").ok());
    EXPECT_FALSE(planned("FROM $NONE\n").ok());
    EXPECT_FALSE(planned("FROM a b\n").ok());
    EXPECT_FALSE(planned("FROM a\n", {}, "none").ok());
    EXPECT_EQ(planned("FROM x AS x\n")->stages[0].base_stage, std::nullopt) << "its own name is an image's there";
}

/// What the last stage has said.
ImageConfig said(std::string_view text, std::map<std::string, std::string> given = {}) {
    auto plan = planned(text, std::move(given));
    ImageConfig base;
    base.base_user = "boxuser";
    base.base_workdir = "/workspace/home";
    base.cmd = {"of", "base"};
    StageWords words(plan.value(), base);
    for (const Instruction& one : plan->stages.back().instructions) {
        if (makes_files(one)) continue;
        const auto applied = words.apply(one);
        EXPECT_TRUE(applied.ok()) << applied.error().message;
    }
    return words.config();
}

TEST(Config, VariablesOfAnInstructionAreThoseBeforeIt) {
    const ImageConfig config = said(
        "ARG V=1\nFROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\nARG V\nARG W=w\nENV V2=$V$W\n"
        "ENV PATH=/opt/bin:$PATH\n");
    using Pairs = std::vector<Pair>;
    EXPECT_EQ(config.env, (Pairs{{"abc", "bye"},
                                 {"def", "hello"},
                                 {"ghi", "bye"},
                                 {"V2", "1w"},
                                 {"PATH", "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}));
}

TEST(Config, CommandsPortsAndFolders) {
    const ImageConfig config = said(
        "FROM a\nWORKDIR /a\nWORKDIR b/../c\nUSER $U\nEXPOSE 80 53/udp 80/tcp\nLABEL a=1 \"b c\"='2 3'\n"
        "SHELL [\"/bin/bash\", \"-c\"]\nCMD echo $HOME\nENTRYPOINT [\"x\"]\nARG U=web\nUSER $U\n");
    EXPECT_EQ(config.workdir, "/a/c");
    EXPECT_EQ(config.user, "web");
    EXPECT_EQ(config.ports, (std::vector<std::string>{"80/tcp", "53/udp"}));
    EXPECT_EQ(config.labels, (std::map<std::string, std::string>{{"a", "1"}, {"b c", "2 3"}}));
    EXPECT_EQ(config.cmd, (std::vector<std::string>{"/bin/bash", "-c", "echo $HOME"}));
    EXPECT_EQ(said("FROM a\nENTRYPOINT x\n").cmd, std::vector<std::string>()) << "the base's is for another program";
}

TEST(Config, HutchsOwnImagesAreBuiltOnByRoot) {
    EXPECT_EQ(said("FROM a\n").run_user() + said("FROM a\n").run_folder(), "root/");
    EXPECT_EQ(said("FROM a\nUSER boxuser\n").run_user(), "boxuser");
}

class Context : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_NE(mkdtemp(directory_.data()), nullptr);
        fs::create_directories(directory_ + "/in/d");
        for (const char* name : {"a.txt", "b.txt", "c.log", "d/e", ".hidden"}) {
            std::ofstream(directory_ + "/in/" + name) << name;
        }
        std::ofstream(directory_ + "/outside") << "secret";
        fs::create_symlink("../outside", directory_ + "/in/up");
        fs::create_symlink("/outside", directory_ + "/in/abs");
        fs::create_symlink("d", directory_ + "/in/link");
    }
    void TearDown() override { fs::remove_all(directory_); }
    BuildContext open() { return std::move(BuildContext::open(directory_ + "/in", directory_ + "/F").value()); }
    std::string found(const std::string& source) {
        const auto entries = open().find(source);
        if (!entries.ok()) return "! " + entries.error().message;
        std::string all;
        for (const auto& entry : entries.value()) all += entry.path + (entry.directory ? "/ " : " ");
        return all;
    }
    std::string digest(const std::string& source) {
        const BuildContext context = open();
        Digest digest;
        EXPECT_TRUE(context.add_to(digest, context.find(source)->front()).ok());
        return digest.hex();
    }
    std::string directory_ = fs::temp_directory_path() / "hutch-context-XXXXXX";
};

TEST_F(Context, SourcesAreFoundBelowIt) {
    EXPECT_EQ(found("*.txt"), "a.txt b.txt ");
    EXPECT_EQ(found("/a.txt"), "a.txt ");
    EXPECT_EQ(found("./d/../d/e"), "d/e ");
    EXPECT_EQ(found("*/e"), "d/e link/e ");
    EXPECT_EQ(found("."), "/ ");
    EXPECT_EQ(found("none").substr(0, 1), "!");
}

TEST_F(Context, NoLinkLeadsOut) {
    EXPECT_NE(found("../outside").find("leads out"), std::string::npos);
    EXPECT_NE(found("d/../../outside").find("leads out"), std::string::npos);
    EXPECT_EQ(found("up").substr(0, 1), "!") << "from the context as its root there is no such file";
    EXPECT_EQ(found("abs").substr(0, 1), "!");
    EXPECT_EQ(found("link/e"), "link/e ");
}

TEST_F(Context, WhatIsIgnoredIsNotThere) {
    std::ofstream(directory_ + "/in/.dockerignore") << "*.txt\n!b.txt\nd\n";
    EXPECT_EQ(found("*.txt"), "b.txt ");
    EXPECT_EQ(found("a.txt").substr(0, 1), "!");
    std::ofstream(directory_ + "/F.dockerignore") << "c.log\n";
    EXPECT_EQ(found("*.txt"), "a.txt b.txt ");
    EXPECT_EQ(found("c.log").substr(0, 1), "!");
}

TEST_F(Context, TheDigestIsOfWhatIsInIt) {
    const std::string before = digest("d");
    const timespec times[2] = {{1, 0}, {1, 0}};
    utimensat(AT_FDCWD, (directory_ + "/in/d/e").c_str(), times, 0);
    EXPECT_EQ(digest("d"), before) << "times do not count";
    fs::permissions(directory_ + "/in/d/e", fs::perms::owner_all);
    const std::string with_mode = digest("d");
    EXPECT_NE(with_mode, before);
    std::ofstream(directory_ + "/in/d/e") << "f";
    EXPECT_NE(digest("d"), with_mode);
}

TEST(Digest, PartsAreKeptApart) {
    EXPECT_NE(Digest().add("ab").add("c").hex(), Digest().add("a").add("bc").hex());
    EXPECT_EQ(Digest().add("ab").hex(), Digest().add_piece("a").add_piece("b").end_part().hex());
}

}  // namespace
}  // namespace hutch::client
