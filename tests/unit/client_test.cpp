#include <gtest/gtest.h>

#include <algorithm>

#include "client/arguments.h"
#include "client/event_tail.h"
#include "client/format.h"
#include "client/frames.h"
#include "client/host.h"
#include "client/latencies.h"
#include "client/place.h"
#include "client/server_events.h"
#include "client/shell_words.h"
#include "client/ssh/guests.h"
#include "client/table.h"
#include "client/wording.h"

namespace hutch::client {
namespace {

TEST(Host, UnixSocketIsAnAbsolutePath) {
    const auto host = parse_host(kDefaultHost);
    ASSERT_TRUE(host.ok());
    EXPECT_EQ(host.value().kind, Host::Kind::kUnix);
    EXPECT_EQ(host.value().path, "/run/hutch/hutch.sock");
    EXPECT_FALSE(parse_host("unix://run/hutch.sock").ok());
    EXPECT_FALSE(parse_host("unix:///" + std::string(107, 'a')).ok()) << "sun_path holds 108 bytes with its end";
}

TEST(Host, HttpAndHttpsHaveNameAndPort) {
    const struct {
        const char *text, *name, *port;
        bool tls;
    } cases[] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080", false}, {"http://box.example/", "box.example", "80", false},
        {"http://[::1]:8080", "::1", "8080", false},           {"http://[::1]", "::1", "80", false},
        {"https://127.0.0.1:8080", "127.0.0.1", "8080", true}, {"https://box.example/", "box.example", "443", true},
        {"https://[::1]:8080", "::1", "8080", true},           {"https://[::1]", "::1", "443", true},
    };
    for (const auto& expected : cases) {
        const auto host = parse_host(expected.text);
        ASSERT_TRUE(host.ok()) << expected.text;
        EXPECT_EQ(host.value().kind, Host::Kind::kTcp);
        EXPECT_EQ(host.value().name, expected.name);
        EXPECT_EQ(host.value().port, expected.port);
        EXPECT_EQ(host.value().tls, expected.tls) << expected.text;
    }
}

TEST(Host, RefusesWhatItDoesNotSpeakAndNamesIt) {
    for (const char* bad : {"",
                            "tcp://x:1",
                            "HTTPS://x",
                            "https:/x",
                            "https://",
                            "https://:443",
                            "https://x:0",
                            "https://x/path",
                            "https://u@x",
                            "https://[::1",
                            "http://",
                            "http://:80",
                            "http://x:",
                            "http://x:0",
                            "http://x:65536",
                            "http://x:8a",
                            "http://x:99999999999",
                            "http://x/path",
                            "http://u@x",
                            "http://[::1",
                            "http://[::1]9:80",
                            "http://::1"}) {
        const auto host = parse_host(bad);
        ASSERT_FALSE(host.ok()) << bad;
        EXPECT_EQ(host.error().kind, ErrorKind::kInvalid);
        EXPECT_NE(host.error().message.find('"' + std::string(bad) + '"'), std::string::npos);
    }
}

TEST(Host, PercentEncodingLeavesNoSeparator) {
    EXPECT_EQ(percent_encode("a-Z_0.~"), "a-Z_0.~");
    EXPECT_EQ(percent_encode("a/b?c d&\xC3\xA4"), "a%2Fb%3Fc%20d%26%C3%A4");
}

TEST(Format, DurationIsTheLargestUnitThatSaysEnough) {
    EXPECT_EQ(format_duration(-5), "0s");
    EXPECT_EQ(format_duration(59), "59s");
    EXPECT_EQ(format_duration(60), "1m");
    EXPECT_EQ(format_duration(3599), "59m");
    EXPECT_EQ(format_duration(47 * 3600 + 3599), "47h");
    EXPECT_EQ(format_duration(48 * 3600), "2d");
}

TEST(Format, SizeNeverShows1024OfAUnit) {
    EXPECT_EQ(format_size(0), "0 B");
    EXPECT_EQ(format_size(1023), "1023 B");
    EXPECT_EQ(format_size(1024), "1.0 KiB");
    EXPECT_EQ(format_size(10 * 1024 - 1), "10 KiB");
    EXPECT_EQ(format_size((1U << 20) - 1), "1.0 MiB");
    EXPECT_EQ(format_size(uint64_t{3} << 30), "3.0 GiB");
    EXPECT_EQ(format_size(UINT64_MAX), "16777216 TiB");
}

TEST(Format, CpuAndCostKeepThreeDigits) {
    EXPECT_EQ(format_cpu(0), "0.00s");
    EXPECT_EQ(format_cpu(12'345'000'000), "12.3s");
    EXPECT_EQ(format_cpu(99'960'000'000), "100s");
    EXPECT_EQ(format_cost(0), "$0");
    EXPECT_EQ(format_cost(0.00001), "<$0.0001");
    EXPECT_EQ(format_cost(0.0123), "$0.0123");
    EXPECT_EQ(format_cost(12.3), "$12.30");
}

TEST(Format, PrintableLeavesNoControlCharacter) {
    EXPECT_EQ(printable("a\x1b[2Jb\nc\td"), "a?[2Jb?c?d");
    EXPECT_EQ(printable("a\nb\tc\rd", Lines::kKeep), "a\nb\tc?d");
    EXPECT_EQ(printable("x\xC2\x9By"), "x?y") << "C1 controls";
    EXPECT_EQ(printable("\xC3\xA4\xC2\xA0"), "\xC3\xA4\xC2\xA0") << "letters and spaces above ASCII stay";
}

TEST(Table, IsOnlyAsWideAsItsCells) {
    Table table({"NAME", "STATUS", "AGE"});
    table.add({std::string("a"), std::string("idle"), std::string("5m")});
    table.add({std::string("l\xC3\xB6nger"), std::string(""), std::string("")});
    EXPECT_EQ(table.text(Colour::kOff),
              "NAME    STATUS  AGE\n"
              "a       idle    5m\n"
              "l\xC3\xB6nger\n");
}

TEST(Table, ColourDoesNotCountAsWidth) {
    Table table({"A", "B"});
    table.add({{"x", Tone::kBad}, std::string("y")});
    EXPECT_EQ(table.text(Colour::kOn), "\x1b[2mA\x1b[0m  \x1b[2mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n");
}

TEST(Table, CellsCannotWriteToTheTerminal) {
    Table table({"A"});
    table.add({std::string("\x1b]0;title\x07")});
    EXPECT_EQ(table.text(Colour::kOff), "A\n?]0;title?\n");
}

TEST(Table, KeyValuesAlignEveryLineOfAValue) {
    EXPECT_EQ(
        key_values({{"Id", std::string("x")}, {"Work directory", std::string()}, {"Layers", std::string("one\ntwo")}},
                   Colour::kOff),
        "Id      x\n"
        "Layers  one\n"
        "        two\n");
}

/// The output and the event of `body` taken in pieces of `step` bytes.
std::pair<std::string, std::string> part(std::string_view body, size_t step) {
    EventTail tail;
    std::string output;
    for (size_t at = 0; at < body.size(); at += step) output += tail.take(body.substr(at, step));
    const EventTail::Ending ending = tail.finish();
    output += ending.output;
    return {output, ending.event ? ending.event->name + " " + ending.event->data : ""};
}

constexpr std::string_view kExit = "event: exit\ndata: {\"exit_code\":0}\n\n";

TEST(ServerEvents, AreTheSameInPiecesOfAnySize) {
    const std::string stream =
        "id: 1-1\nevent: a\ndata: {\"x\":1}\n\n: a comment\n\ndata: one\ndata: two\n\ndata: half\n";
    for (size_t size = 1; size <= stream.size(); ++size) {
        ServerEvents events;
        std::vector<std::string> found;
        for (size_t begin = 0; begin < stream.size(); begin += size) {
            events.feed(std::string_view(stream).substr(begin, size));
            while (const auto event = events.next()) found.push_back(event->name + event->data);
        }
        EXPECT_EQ(found, (std::vector<std::string>{"a{\"x\":1}", "one\ntwo"})) << size;
    }
}

std::string framed(char kind, const std::string& bytes) {
    const auto size = static_cast<unsigned char>(bytes.size());
    return std::string{kind, 0, 0, 0, static_cast<char>(size)} + bytes;
}

TEST(Frames, ComeWholeHoweverTheAnswerIsCut) {
    const std::string whole = framed(1, "out") + framed(0, "") + framed(9, "new") + framed(2, "") + framed(2, "err\n") +
                              framed(3, R"({"exit_code":3})") + framed(1, "la");
    for (size_t piece = 1; piece <= whole.size(); ++piece) {
        Frames frames;
        std::string told;
        for (size_t at = 0; at < whole.size(); at += piece) {
            frames.feed(std::string_view(whole).substr(at, piece));
            while (const auto frame = frames.next()) {
                told += std::to_string(static_cast<int>(frame->kind)) + "[" + frame->bytes + "]";
            }
        }
        EXPECT_EQ(told, R"(1[out]0[]2[]2[err)"
                        "\n"
                        R"(]3[{"exit_code":3}]1[la])")
            << piece;
        EXPECT_FALSE(frames.broken());
    }
}

TEST(Frames, WhatIsNoneIsNotWaitedFor) {
    Frames frames;
    frames.feed("plain output, of another daemon");
    EXPECT_FALSE(frames.next());
    EXPECT_TRUE(frames.broken());
}

TEST(EventTail, PartsOutputAndEventHoweverTheBodyIsCut) {
    const struct {
        std::string output, event;
    } cases[] = {
        {"", "exit {\"exit_code\":0}"},
        {"hello\n", "exit {\"exit_code\":0}"},
        {"no line break, even event: ex", "exit {\"exit_code\":0}"},
        {"event: exit\ndata: ", "exit {\"exit_code\":0}"},
        {"event: exit\ndata: {", "exit {\"exit_code\":0}"},
        {"event: evevent: ", "exit {\"exit_code\":0}"},
        {std::string(kExit), "exit {\"exit_code\":0}"},
        {std::string(kExit) + "\n", "exit {\"exit_code\":0}"},
        {std::string("\0event\xff", 7), "exit {\"exit_code\":0}"},
    };
    for (const auto& expected : cases) {
        for (size_t step = 1; step < 40; ++step) {
            const auto [output, event] = part(expected.output + std::string(kExit), step);
            EXPECT_EQ(output, expected.output) << "in pieces of " << step;
            EXPECT_EQ(event, expected.event) << "in pieces of " << step;
        }
    }
}

TEST(EventTail, KnowsErrorsAndImages) {
    EXPECT_EQ(part("xevent: error\ndata: {\"error\":\"no\"}\n\n", 7),
              std::pair(std::string("x"), std::string("error {\"error\":\"no\"}")));
    EXPECT_EQ(part("event: image\ndata: {}\n\n", 7).second, "image {}");
}

TEST(EventTail, AnEventThatIsNotTheEndIsOutput) {
    for (const std::string& body :
         {std::string(kExit) + "x", std::string(kExit.substr(0, kExit.size() - 1)),
          std::string("event: other\ndata: {}\n\n"), std::string("event: exit\ndata: 5\n\n")}) {
        EXPECT_EQ(part(body, 5), std::pair(body, std::string()));
    }
}

TEST(EventTail, OutputIsNotHeldWithoutReason) {
    EventTail tail;
    EXPECT_EQ(tail.take("Password: "), "Password: ");
    EXPECT_EQ(tail.take("event: e"), "");
    EXPECT_EQ(tail.take("lsa"), "event: elsa");
}

TEST(EventTail, WhatIsHeldHasALimit) {
    EventTail tail;
    size_t released = tail.take("event: exit\ndata: {").size();
    const std::string piece(4096, 'x');
    for (int i = 0; i < 1024; ++i) released += tail.take(piece).size();
    EXPECT_GT(released, 2U << 20);
}

TEST(EventTail, ABrokenBodyGivesBackWhatWasHeld) {
    EventTail tail;
    EXPECT_EQ(tail.take("a" + std::string(kExit)), "a");
    EXPECT_EQ(tail.abandon(), kExit);
}

TEST(Place, AColonBeforeAnySlashMeansABox) {
    EXPECT_EQ(parse_place("web:/etc/a:b").box, "web");
    EXPECT_EQ(parse_place("web:/etc/a:b").path, "/etc/a:b");
    EXPECT_TRUE(parse_place("web:").in_box());
    for (const char* local : {"a", "./a:b", "/a:b", ":b", "-"}) EXPECT_FALSE(parse_place(local).in_box()) << local;
}

TEST(Place, NamesAndJoins) {
    EXPECT_EQ(base_name("/a/b//"), "b");
    EXPECT_EQ(base_name("a"), "a");
    for (const char* nameless : {"", "/", ".", "a/.."}) EXPECT_EQ(base_name(nameless), "") << nameless;
    EXPECT_EQ(join_path("a/", "b"), "a/b");
    EXPECT_EQ(join_path("a", "b"), "a/b");
    EXPECT_EQ(join_path("", "b"), "b");
}

using Words = std::vector<std::string>;

Arguments parted(const Words& words) {
    static const Words kValued = {"--host"};
    static const std::vector<Verb> kVerbs = {{"exec", {"-w", "--workdir"}}, {"run", {"--name", "-e"}}};
    return part_arguments(words, kValued, kVerbs);
}

TEST(Arguments, AfterTheBoxEveryWordIsTheCommands) {
    for (const Words& own :
         {Words{"exec", "web"}, Words{"--host", "exec", "exec", "-it", "web"}, Words{"exec", "-w", "/a", "web"},
          Words{"run", "--rm", "-e", "exec", "image"}, Words{"exec", "-itw", "/a", "web"}, Words{"exec", "-w/w", "web"},
          Words{"exec", "--workdir=/a", "web"}}) {
        for (const Words& command : {Words{"ls", "-la", "[a]"}, Words{"--help"}, Words{"-t", "--", "x", ""}}) {
            for (const bool dashes : {false, true}) {
                Words words = own;
                if (dashes) words.emplace_back("--");
                words.insert(words.end(), command.begin(), command.end());
                EXPECT_EQ(parted(words).own, own);
                EXPECT_EQ(parted(words).command, command);
            }
        }
    }
}

TEST(Arguments, OtherCommandsAreLeftWhole) {
    for (const Words& words :
         {Words{}, Words{"rm", "exec", "ls"}, Words{"exec"}, Words{"exec", "-w"}, Words{"exec", "web"}}) {
        EXPECT_EQ(parted(words).own, words);
        EXPECT_TRUE(parted(words).command.empty());
    }
}

TEST(Wording, AnErrorNamesTheOptionThatWasTyped) {
    const auto said = [](const std::string& sentence, const Words& options) {
        return in_words_of_command(sentence, [&](const std::string& one) {
            return std::find(options.begin(), options.end(), one) != options.end();
        });
    };
    EXPECT_EQ(said("runtime: no image \"x\"", {"--image"}), "--image: no image \"x\"");
    EXPECT_EQ(said("runtime: no image \"x\"", {"IMAGE"}), "IMAGE: no image \"x\"");
    EXPECT_EQ(said("idle_timeout: too long", {"--idle-timeout"}), "--idle-timeout: too long");
    EXPECT_EQ(said("command: cannot run", {"COMMAND"}), "COMMAND: cannot run");
    EXPECT_EQ(said("network_policy: allowed_cidrs: bad", {"--network", "--allow"}), "--network: --allow: bad");
    EXPECT_EQ(said("allowed_domains: bad", {"--allow"}), "--allow: bad");
    EXPECT_EQ(said("custom_runner.args: bad", {"--agent-command"}), "--agent-command: bad");
    EXPECT_EQ(said("mode: custom needs allowed_cidrs or denied_cidrs", {"MODE", "--allow", "--deny"}),
              "MODE: custom needs --allow or --deny");
    EXPECT_EQ(said("name: \"allowed_cidrs\" is taken", {"NAME", "--allow"}), "NAME: \"allowed_cidrs\" is taken");
    for (const char* other : {"runtime: bad", "box web: bad", "runtime", "", "Name: bad", "a.b c: d"}) {
        EXPECT_EQ(said(other, {"--name"}), other);
    }
}

TEST(Wording, AKeyIsNoHeaderToWhoTypesCommands) {
    const auto said = [](const std::string& sentence) {
        return in_words_of_command(sentence, [](const std::string&) { return false; });
    };
    EXPECT_EQ(said("X-Box-Api-Key: send your API key in this header, or as Authorization: Bearer KEY"),
              "the daemon wants an API key: set HUTCH_API_KEY, or keep one with `hutch context add`");
    EXPECT_EQ(said("X-Box-Api-Key: the key is not known"),
              "the API key, HUTCH_API_KEY or else the context's: the key is not known");
}

TEST(Wording, KnowsWhatMayHaveBeenMeant) {
    const Words known{"exec", "ls", "rm", "snapshot", "create"};
    EXPECT_EQ(meant_by("exce", known), "exec");
    EXPECT_EQ(meant_by("craete", known), "create");
    EXPECT_EQ(meant_by("snapshots", known), "snapshot ls");
    EXPECT_EQ(meant_by("delete", known), "rm");
    EXPECT_EQ(meant_by("sl", known), "ls");
    EXPECT_EQ(meant_by("remove", known), "rm");
    EXPECT_EQ(meant_by("remove", {"ls", "set", "unset"}), "unset");
    EXPECT_EQ(meant_by("destroy", {"ls", "rm", "import"}), "rm");
    EXPECT_EQ(meant_by("frobnicate", known), "");
    EXPECT_EQ(meant_by("x", known), "") << "one letter is not a slip of two others";
    EXPECT_EQ(meant_by(std::string(100'000, 'x'), known), "");
}

TEST(Latencies, PercentilesAreValuesThatWereMeasured) {
    std::vector<double> ms;
    for (int i = 100; i > 0; --i) ms.push_back(i);
    const Latencies all = latencies_of(ms);
    EXPECT_EQ(all.min, 1);
    EXPECT_EQ(all.median, 50);
    EXPECT_EQ(all.p95, 95);
    EXPECT_EQ(all.p99, 99);
    EXPECT_EQ(all.max, 100);
    EXPECT_EQ(latencies_of({7}).p99, 7);
    EXPECT_EQ(latencies_of({}).median, 0);
}

TEST(Latencies, TheScoreIsTheLeaderboards) {
    EXPECT_DOUBLE_EQ(leaderboard_score({200, 200}, 2), 98);
    EXPECT_DOUBLE_EQ(leaderboard_score({200, 200}, 4), 49);  // half of them failed
    EXPECT_DOUBLE_EQ(leaderboard_score({20'000}, 1), 0);
    EXPECT_DOUBLE_EQ(leaderboard_score({}, 3), 0);
    std::vector<double> ms(20, 100);
    ms[3] = 9'000;  // the slowest twentieth
    EXPECT_DOUBLE_EQ(leaderboard_score(ms, 20), 99);
}

TEST(Guests, AsManyAsMayComeFromAnAddressAndInAll) {
    Guests guests;
    const Guests::Moment now{};
    for (size_t i = 0; i < Guests::kMostOfAddress; ++i) {
        ASSERT_TRUE(guests.may_enter("a", now));
        guests.enter("a");
    }
    EXPECT_FALSE(guests.may_enter("a", now));
    EXPECT_TRUE(guests.may_enter("b", now));
    guests.leave("a", false);
    EXPECT_TRUE(guests.may_enter("a", now));
    for (size_t i = guests.inside(); i < Guests::kMostUnknown; ++i) guests.enter("b" + std::to_string(i));
    EXPECT_FALSE(guests.may_enter("c", now)) << "as many have shown no key as may";
    guests.become_known();
    EXPECT_TRUE(guests.may_enter("c", now));
}

TEST(Guests, WhoGuessesIsKeptOutForTheRestOfItsMinute) {
    Guests guests;
    const Guests::Moment now{};
    for (size_t i = 0; i < Guests::kMostWrongKeys; ++i) {
        EXPECT_TRUE(guests.may_enter("a", now));
        guests.note_wrong_key("a", now);
    }
    EXPECT_FALSE(guests.may_enter("a", now + Guests::kWithin - std::chrono::seconds(1)));
    EXPECT_TRUE(guests.may_enter("b", now));
    EXPECT_TRUE(guests.may_enter("a", now + Guests::kWithin));
    guests.note_wrong_key("a", now + Guests::kWithin);
    EXPECT_TRUE(guests.may_enter("a", now + Guests::kWithin)) << "another minute, another count";
}

TEST(ShellWords, CommandsAreWordsOfTheirOwn) {
    const auto words = words_of_command("echo \"$(id)\" '; x");
    EXPECT_EQ(words.back(), "echo \"$(id)\" '; x");
    EXPECT_EQ(words.size(), 5U);
    EXPECT_TRUE(words_of_subsystem("netconf").empty());
    EXPECT_FALSE(words_of_subsystem("sftp").empty());
}

}  // namespace
}  // namespace hutch::client
