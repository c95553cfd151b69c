#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "daemon/api/codec.h"
#include "daemon/api/patience.h"
#include "daemon/api/rate.h"
#include "daemon/api/router.h"
#include "daemon/box/agenda.h"
#include "daemon/box/meter.h"
#include "daemon/box/state.h"
#include "daemon/event_log.h"
#include "daemon/files/files.h"
#include "daemon/host.h"
#include "daemon/images/images.h"
#include "daemon/log.h"
#include "daemon/run/startup.h"
#include "daemon/uid_slots.h"
#include "daemon/wire/framing.h"
#include "daemon/wire/url.h"

namespace hutch::daemon {
namespace {

// ---- url

TEST(Url, DecodesPathAndQuery) {
    const auto target = parse_target("/v2/box/my%20box/files/read?path=a%2Fb+c&flag");
    ASSERT_TRUE(target.ok());
    EXPECT_EQ(target.value().path, "/v2/box/my box/files/read");
    EXPECT_EQ(target.value().query.at("path"), "a/b c");
    EXPECT_EQ(target.value().query.at("flag"), "");
}

TEST(Url, RefusesWhatWouldChangeTheCallMeant) {
    for (const char* bad : {"", "http://x/", "*", "/a%2Fb", "/a%00", "/a%", "/a%4", "/a%zz", "/a?b=%"}) {
        EXPECT_EQ(parse_target(bad).ok() ? ErrorKind::kSystem : parse_target(bad).error().kind, ErrorKind::kInvalid)
            << bad;
    }
}

// ---- router

Handler named(std::string& called, const std::string& name) {
    return [&called, name](Exchange&, const Params&) -> Task<Result<std::optional<Response>>> {
        called = name;
        co_return std::optional<Response>();
    };
}

TEST(HeadScan, FindsTheSameEndInPiecesOfAnySize) {
    const std::string head = "GET / HTTP/1.1\r\nHost: x\r\nA: \xff b\r\n\r\n";
    const std::string all = head + "body\n\n";
    for (size_t piece = 1; piece <= all.size(); ++piece) {
        HeadScan scan;
        for (size_t end = piece; scan.size() == 0 && end < all.size() + piece; end += piece) {
            ASSERT_FALSE(scan.look(std::string_view(all).substr(0, end)));
        }
        EXPECT_EQ(scan.size(), head.size()) << piece;
    }
}

TEST(HeadScan, RefusesAsSoonAsItCanBeKnown) {
    HeadScan scan;
    EXPECT_FALSE(scan.look("GET / HTTP/1.1\r"));
    EXPECT_TRUE(scan.look("GET / HTTP/1.1\rH"));
    HeadScan endless;
    EXPECT_FALSE(endless.look(std::string(HeadScan::kMostBytes, 'a')));
    EXPECT_EQ(endless.look(std::string(HeadScan::kMostBytes + 1, 'a')).value().status, 431);
}

TEST(HeadScan, RefusesTwoOfWhatIsActedOn) {
    for (const char* name : {"Idempotency-Key", "Authorization", "X-Box-Api-Key", "Content-Type"}) {
        const std::string field = std::string(name) + ": a\r\n";
        HeadScan once;
        EXPECT_FALSE(once.look("GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n")) << name;
        HeadScan twice;
        EXPECT_EQ(twice.look("GET / HTTP/1.1\r\nHost: x\r\n" + field + field + "\r\n").value().sentence,
                  std::string(name) + ": is there twice");
    }
}

TEST(Pace, IsAByteInAMillisecondWithPauses) {
    using namespace std::chrono_literals;
    Pace steady(10s);
    for (int second = 0; second < 1000; ++second) steady.add(1s, 1024);
    EXPECT_EQ(steady.left(), 10s);
    steady.add(9s, 0);
    EXPECT_EQ(steady.left(), 1s);
    steady.add(1ms, 500);
    EXPECT_EQ(steady.left(), 1499ms);
    Pace slow(10s);
    for (int second = 0; second < 19; ++second) slow.add(1s, 500);
    EXPECT_GT(slow.left(), 0s);
    for (int second = 0; second < 2; ++second) slow.add(1s, 500);
    EXPECT_EQ(slow.left(), 0s);
}

TEST(Rate, GivesAMinutesWorthAtOnceAndThenOneByOne) {
    using namespace std::chrono_literals;
    Rate rate(6);
    const Rate::Moment begin{1h};
    for (int i = 0; i < 6; ++i) EXPECT_FALSE(rate.take("a", begin));
    EXPECT_EQ(rate.take("a", begin), 10s);
    EXPECT_FALSE(rate.take("b", begin));
    EXPECT_EQ(rate.wait("a", begin + 4s), 6s);
    EXPECT_FALSE(rate.take("a", begin + 10s));
    EXPECT_EQ(rate.take("a", begin + 10s), 10s);
    for (int i = 0; i < 6; ++i) EXPECT_FALSE(rate.take("a", begin + 70s));
    EXPECT_TRUE(rate.take("a", begin + 70s));
}

TEST(Rate, RemembersOnlyWhoHasAskedLately) {
    using namespace std::chrono_literals;
    Rate rate(60);
    for (int i = 0; i < 100'000; ++i) (void)rate.take(std::to_string(i), Rate::Moment(i * 1s));
    EXPECT_LE(rate.remembered(), 1024U);
    Rate none(0);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(none.take("a", Rate::Moment()));
    EXPECT_EQ(none.remembered(), 0U);
}

TEST(Router, FixedSegmentsWinOverNames) {
    Router router;
    std::string called;
    router.add("GET", "/v2/box/{id}", named(called, "one"));
    router.add("GET", "/v2/box/snapshots", named(called, "snapshots"));
    const auto one = router.match("GET", "/v2/box/b1");
    ASSERT_NE(one.handler, nullptr);
    EXPECT_EQ(one.params.at("id"), "b1");
    EXPECT_TRUE(router.match("GET", "/v2/box/snapshots").params.empty());
    EXPECT_EQ(router.match("POST", "/v2/box/b1").status, 405);
    EXPECT_EQ(router.match("GET", "/v2/box/b1/more").status, 404);
    EXPECT_EQ(router.match("GET", "/v2").status, 404);
}

// ---- codec

TEST(Fields, NameTheFieldOfAWrongType) {
    const auto fields = Fields::parse(R"({"a": 1, "b": "x", "c": [1], "d": {"k": 2}, "n": null, "t": true})");
    ASSERT_TRUE(fields.ok());
    EXPECT_EQ(fields.value().text("a").error().message, "a: must be a string");
    EXPECT_EQ(fields.value().number("b").error().message, "b: must be a whole number");
    EXPECT_EQ(fields.value().texts("c").error().message, "c: must be an array of strings");
    EXPECT_EQ(fields.value().pairs("d").error().message, "d: must be an object of strings");
    EXPECT_EQ(fields.value().flag("a").error().message, "a: must be true or false");
    EXPECT_EQ(fields.value().object("t").error().message, "t: must be an object");
    EXPECT_EQ(fields.value().required_text("z").error().message, "z: is required");
    EXPECT_FALSE(fields.value().has("n")) << "null stands for absent";
    EXPECT_EQ(fields.value().text_or("z", "other").value(), "other");
}

TEST(Fields, RefuseMoreValuesThanTheirTextSuggests) {
    std::string many = "{\"x\":[0";
    for (int i = 0; i < 100'000; ++i) many += ",0";
    EXPECT_TRUE(Fields::parse(many + "],\"y\":\",,,\"}").error().message.find("100000 values") != std::string::npos);
    EXPECT_TRUE(Fields::parse("{\"content\":\"" + std::string(200'000, ',') + "\"}").ok());
}

TEST(Fields, RefuseWhatIsNoObject) {
    for (const char* bad : {"[]", "1", "{", "nonsense", "{\"a\":}"}) EXPECT_FALSE(Fields::parse(bad).ok()) << bad;
    EXPECT_TRUE(Fields::parse("").ok());
    EXPECT_FALSE(Fields::parse("{\"a\":" + std::string(100'000, '[')).ok()) << "depth must not cost stack";
    EXPECT_TRUE(Fields::parse("{\"a\":\"" + std::string(1000, '[') + "\"}").ok())
        << "brackets in a string are no depth";
}

TEST(Codec, ErrorsBecomeTheDocumentedStatus) {
    EXPECT_EQ(http_status({ErrorKind::kInvalid, 0, ""}), 400);
    EXPECT_EQ(http_status({ErrorKind::kUnauthorized, 0, ""}), 401);
    EXPECT_EQ(http_status({ErrorKind::kForbidden, 0, ""}), 403);
    EXPECT_EQ(http_status({ErrorKind::kNotFound, 0, ""}), 404);
    EXPECT_EQ(http_status({ErrorKind::kConflict, 0, ""}), 409);
    EXPECT_EQ(http_status({ErrorKind::kTooLarge, 0, ""}), 413);
    EXPECT_EQ(http_status({ErrorKind::kLimit, 0, ""}), 429);
    EXPECT_EQ(http_status({ErrorKind::kUnsupported, 0, ""}), 501);
    EXPECT_EQ(http_status({ErrorKind::kSystem, EIO, ""}), 500);
    EXPECT_EQ(http_status({ErrorKind::kSystem, ENOSPC, ""}), 507);
    EXPECT_EQ(http_status({ErrorKind::kSystem, EDQUOT, ""}), 507);
}

TEST(Codec, Base64BothWays) {
    for (size_t length = 0; length < 70; ++length) {
        std::string bytes;
        for (size_t i = 0; i < length; ++i) bytes += static_cast<char>(i * 37);
        EXPECT_EQ(decode_base64("content", encode_base64(bytes)).value(), bytes);
    }
    for (const char* bad : {"a", "ab", "abc", "####", "ab=c"}) EXPECT_FALSE(decode_base64("content", bad).ok()) << bad;
}

TEST(Codec, TextThatIsNoUtf8StillBecomesJson) {
    const std::string text = dump(Json{{"output",
                                        "a\xff"
                                        "b"}});
    EXPECT_EQ(Json::parse(text)["output"],
              "a\xef\xbf\xbd"
              "b");
}

// ---- state, names, ids

TEST(Status, FollowsFromWhatIsThere) {
    EXPECT_EQ(status_of({.alive = true, .frozen = true, .busy = true}), Status::kPaused);
    EXPECT_EQ(status_of({.creating = true, .alive = true}), Status::kCreating);
    EXPECT_EQ(status_of({.deleting = true, .alive = true, .busy = true}), Status::kDeleted);
    EXPECT_EQ(status_of({.alive = true}), Status::kIdle);
    EXPECT_EQ(status_of({.alive = true, .busy = true}), Status::kRunning);
    EXPECT_EQ(status_of({}), Status::kPaused);
    EXPECT_EQ(status_of({.failed = true}), Status::kError);
}

constexpr Situation kIdleBox{.alive = true};
constexpr Situation kRunningBox{.alive = true, .busy = true};
constexpr Situation kFrozenBox{.alive = true, .frozen = true, .busy = true};
constexpr Situation kStoppedBox{};
constexpr Situation kFailedBox{.failed = true};
constexpr Situation kNewBox{.creating = true};
constexpr Situation kDeletedBox{.deleting = true, .alive = true};

TEST(States, EveryTriggerInEveryState) {
    using enum Action;
    struct Row {
        Situation at;
        Action work, idle, init_gone, deletion;  // a resume does what work does
    };
    const Row rows[] = {
        {kIdleBox, kNothing, kFreeze, kStop, kRemove},     {kRunningBox, kNothing, kNothing, kStop, kRemove},
        {kFrozenBox, kThaw, kNothing, kStop, kRemove},     {kStoppedBox, kStart, kNothing, kNothing, kRemove},
        {kFailedBox, kStart, kNothing, kNothing, kRemove},
    };
    for (const Row& row : rows) {
        const char* const status = name_of(status_of(row.at));
        EXPECT_EQ(action_for(Trigger::kWork, row.at).value(), row.work) << status;
        EXPECT_EQ(action_for(Trigger::kResume, row.at).value(), row.work) << status;
        EXPECT_EQ(action_for(Trigger::kIdle, row.at).value(), row.idle) << status;
        EXPECT_EQ(action_for(Trigger::kInitGone, row.at).value(), row.init_gone) << status;
        EXPECT_EQ(action_for(Trigger::kDelete, row.at).value(), row.deletion) << status;
    }
}

TEST(States, PausedIsWhatIsAwakeAndMaySleep) {
    using enum Action;
    EXPECT_EQ(action_for(Trigger::kPause, kIdleBox).value(), kFreeze);
    EXPECT_EQ(action_for(Trigger::kPause, kRunningBox).value(), kFreeze) << "its runs go on when it is woken";
    EXPECT_EQ(action_for(Trigger::kPause, kFrozenBox).value(), kNothing);
    EXPECT_EQ(action_for(Trigger::kPause, kStoppedBox).value(), kNothing);
    EXPECT_EQ(action_for(Trigger::kPause, kFailedBox).error().kind, ErrorKind::kConflict);
    const auto kept = action_for(Trigger::kPause, {.alive = true, .keep_alive = true});
    EXPECT_EQ(kept.error().kind, ErrorKind::kConflict);
    EXPECT_EQ(kept.error().message.rfind("keep_alive", 0), 0U);
    EXPECT_EQ(action_for(Trigger::kIdle, {.alive = true, .keep_alive = true}).value(), kNothing);
    EXPECT_EQ(action_for(Trigger::kIdle, {.alive = true, .in_use = true}).value(), kNothing);
}

TEST(States, NothingIsDoneToWhatIsNotYetOrNoMore) {
    for (const Trigger asked : {Trigger::kWork, Trigger::kResume, Trigger::kPause}) {
        EXPECT_EQ(action_for(asked, kNewBox).error().kind, ErrorKind::kConflict);
        EXPECT_EQ(action_for(asked, kDeletedBox).error().kind, ErrorKind::kNotFound);
    }
    for (const Trigger happens : {Trigger::kIdle, Trigger::kInitGone, Trigger::kDelete}) {
        EXPECT_EQ(action_for(happens, kDeletedBox).value(), Action::kNothing);
    }
    EXPECT_EQ(action_for(Trigger::kIdle, kNewBox).value(), Action::kNothing);
}

// ---- idle, agenda, alarm: on a clock that stands where the test puts it

using std::chrono::seconds;

constexpr Moment kNoon{std::chrono::hours(12)};
constexpr SleepSettings kMinute{.keep_alive = false, .idle_timeout = seconds(60)};

TEST(Idle, ABoxSleepsATimeoutAfterItsLastActivity) {
    const Activity quiet{.last = kNoon};
    EXPECT_EQ(wakefulness(quiet, kMinute, kNoon + seconds(59)), (Wakefulness{Awake::kRecent, kNoon + seconds(60)}));
    EXPECT_EQ(wakefulness(quiet, kMinute, kNoon + seconds(60)), (Wakefulness{Awake::kDue, kNoon + seconds(60)}));
    EXPECT_EQ(next_look(quiet, kMinute, kNoon + seconds(59)), kNoon + seconds(60));
}

TEST(Idle, WhatIsInUseDoesNotSleepAndIsLookedAtAgain) {
    const Moment late = kNoon + seconds(1000);
    for (const Activity& busy : {Activity{.last = kNoon, .run = true}, Activity{.last = kNoon, .use = true}}) {
        EXPECT_EQ(wakefulness(busy, kMinute, late), (Wakefulness{busy.run ? Awake::kRun : Awake::kUse, {}}));
        EXPECT_EQ(next_look(busy, kMinute, late), late + seconds(60));
    }
}

TEST(Idle, WhoIsKeptAliveOrHasNoTimeoutNeverSleeps) {
    const Moment late = kNoon + std::chrono::hours(1000);
    const SleepSettings kept{.keep_alive = true, .idle_timeout = seconds(60)};
    EXPECT_EQ(wakefulness({.last = kNoon}, kept, late), (Wakefulness{Awake::kKeepAlive, {}}));
    EXPECT_EQ(wakefulness({.last = kNoon}, {}, late), (Wakefulness{Awake::kNoTimeout, {}}));
    EXPECT_FALSE(next_look({.last = kNoon}, kept, late).has_value());
    EXPECT_FALSE(next_look({.last = kNoon}, {}, late).has_value());
}

TEST(Agenda, AnIdleBoxIsPausedWhenItIsTime) {
    const Timetable box{.awake = true, .activity = {.last = kNoon}, .settings = kMinute};
    const Agenda before = agenda_of(box, kNoon + seconds(59));
    EXPECT_EQ(before.due, Due::kNothing);
    EXPECT_EQ(before.again, kNoon + seconds(60));
    const Agenda then = agenda_of(box, kNoon + seconds(60));
    EXPECT_EQ(then.due, Due::kPause);
    EXPECT_GT(then.again, kNoon + seconds(60)) << "looked at again, should it not come to a stop";
}

TEST(Agenda, APausedBoxHasOnlyItsMemoryAndItsEndBeforeIt) {
    Timetable box{.activity = {.last = kNoon}, .settings = kMinute};
    EXPECT_EQ(agenda_of(box, kNoon + seconds(1000)).due, Due::kNothing);
    EXPECT_FALSE(agenda_of(box, kNoon + seconds(1000)).again.has_value());
    box.reclaim_at = kNoon + seconds(10);
    box.expires_at = kNoon + seconds(20);
    EXPECT_EQ(agenda_of(box, kNoon).again, kNoon + seconds(10));
    EXPECT_EQ(agenda_of(box, kNoon + seconds(10)).due, Due::kReclaim);
    EXPECT_EQ(agenda_of(box, kNoon + seconds(10)).again, kNoon + seconds(20));
    EXPECT_EQ(agenda_of(box, kNoon + seconds(20)).due, Due::kDelete);
}

TEST(Agenda, AnEphemeralBoxEndsThoughItIsInUse) {
    const Timetable box{.awake = true,
                        .activity = {.last = kNoon, .run = true},
                        .settings = kMinute,
                        .expires_at = kNoon + seconds(30)};
    EXPECT_EQ(agenda_of(box, kNoon).again, kNoon + seconds(30)) << "before the next look at what runs";
    EXPECT_EQ(agenda_of(box, kNoon + seconds(30)).due, Due::kDelete);
}

// ---- usage

TEST(Usage, AMonthIsThatOfUtc) {
    EXPECT_EQ(period_of(0), "1970-01");
    EXPECT_EQ(period_of(1'764'547'199'999), "2025-11");
    EXPECT_EQ(period_of(1'764'547'200'000), "2025-12");
    EXPECT_EQ(period_of(1'709'164'800'000), "2024-02") << "the 29th";
}

TEST(Usage, WhatIsBookedIsTheDifferenceToWhatWas) {
    BoxRecord box;
    box.id = "b1";
    box.name = "dev";
    box.past = {1000, 10, 20};
    box.booked = {1200, 10, 20};
    const UsageRecord usage = unbooked(box, {{500, 3, 4}, 77}, seconds(0), 0);
    EXPECT_EQ(usage.counters, (Counters{300, 3, 4}));
    EXPECT_EQ(usage.memory_peak_bytes, 77);
    EXPECT_EQ(usage.box, "b1");
    EXPECT_EQ(usage.name, "dev");
    box.booked += usage.counters;
    EXPECT_EQ(unbooked(box, {{500, 3, 4}, 77}, seconds(0), 0).counters, Counters{})
        << "booking it twice changes nothing";
}

TEST(Usage, AFigureThatGoesDownIsNeitherBilledNorGivenBack) {
    BoxRecord box;
    box.id = "b1";
    box.booked = {1000, 1000, 1000};
    EXPECT_EQ(unbooked(box, {{400, 2000, 0}}, seconds(0), 0).counters, (Counters{0, 1000, 0}));
}

TEST(Usage, StorageIsBytesTimesSeconds) {
    BoxRecord box;
    box.id = "b1";
    box.disk_bytes = 5'000'000'000;
    EXPECT_EQ(unbooked(box, {}, std::chrono::milliseconds(1500), 0).storage_byte_seconds, 7'500'000'000);
    EXPECT_EQ(unbooked(box, {}, -seconds(5), 0).storage_byte_seconds, 0) << "a clock that was set back";
    EXPECT_GT(unbooked(box, {}, std::chrono::hours(24 * 366), 0).storage_byte_seconds, 0) << "a year fits";
}

TEST(Alarm, RingsForTheEarliestAndAsksWhenAgain) {
    asio::io_context loop(1);
    const Moment past = Moment::clock::now() - seconds(1);
    int rounds = 0;
    Alarm alarm(loop.get_executor(), [&](Moment) { return ++rounds < 3 ? std::optional(past) : std::nullopt; });
    alarm.by(Moment::max());
    alarm.by(past);
    alarm.by(Moment::max());
    loop.run();  // which would never end if a later deadline had stayed
    EXPECT_EQ(rounds, 3);
}

// ---- init command

// ---- log

Json logged(std::string_view message, LogLevel level = LogLevel::kInfo) {
    const std::string line = json_log_line({}, level, message);
    EXPECT_TRUE(std::none_of(line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; })) << line;
    return Json::parse(line);  // throws for what is no JSON, or no UTF-8
}

TEST(Log, ALineIsAnObject) {
    const auto time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'764'094'123'007));
    EXPECT_EQ(json_log_line(time, LogLevel::kWarning, "all \"is\" well"),
              R"({"time":"2025-11-25T18:08:43.007Z","level":"warning","message":"all \"is\" well"})");
    EXPECT_EQ(logged("", LogLevel::kInfo)["level"], "info");
    EXPECT_EQ(logged("", LogLevel::kError)["level"], "error");
}

TEST(Log, ABoxIsAFieldOfItsOwn) {
    EXPECT_EQ(logged("box zv7tn5smesq6ei: its init ended")["box"], "zv7tn5smesq6ei");
    for (const char* none : {"", "box ", "box : x", "box a", "boxes a: b", "the box a: b", "box \": \"", "box A: b"}) {
        EXPECT_FALSE(logged(none).contains("box")) << none;
    }
}

TEST(Log, OfALongMessageTheBeginningIsSaid) {
    const std::string message = logged("box b1: " + std::string(1 << 20, '[') + "end")["message"];
    EXPECT_TRUE(message.starts_with("box b1: [[[") && message.ends_with("[ ... and 1040395 bytes more"))
        << message.size();
    EXPECT_EQ(logged("x" + std::string(10'000, '\xff'))["level"], "info") << "cut where it may be";
}

TEST(Log, EveryByteComesThroughOrIsReplaced) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string message = std::string("<") + static_cast<char>(byte) + ">";
        EXPECT_EQ(logged(message)["message"], byte < 0x80 ? message : "<\xef\xbf\xbd>") << byte;
    }
    for (const char* whole : {"\u00e9", "\u20ac", "\U0001f600", "\u2028", "\u0080", "a\\\"/\t\r\n"}) {
        EXPECT_EQ(logged(whole)["message"], whole);
    }
}

TEST(Log, WhatIsNoUtf8IsReplacedAndTheRestKept) {
    // Overlong, a surrogate, beyond U+10FFFF, cut off.
    for (const char* bad :
         {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5", "\xe2\x82", "\xf0\x9f\x98"}) {
        const std::string message = logged("a" + std::string(bad) + "z")["message"];
        EXPECT_TRUE(message.starts_with("a\xef\xbf\xbd") && message.ends_with("\xef\xbf\xbdz")) << message;
    }
    EXPECT_EQ(logged("\xe2\x82\"}")["message"], "\xef\xbf\xbd\"}") << "a cut character hides no quote";
}

// ---- events

class EventLogTest : public testing::Test {
  protected:
    static constexpr int64_t kStart = 1000;
    static constexpr size_t kKept = 3;
    EventLogTest() { box_.id = "b1"; }
    void publish(int count) {
        for (int i = 0; i < count; ++i) log_.publish(EventType::kBoxPaused, box_);
    }
    /// Ids of what a reader is told; a gap as minus the number of lost events, -1000 for an unknown one.
    static std::vector<int64_t> told(EventReader& reader) {
        std::vector<int64_t> ids;
        while (const auto event = reader.next()) {
            const bool gap = event->type == EventType::kGap;
            ids.push_back(gap ? -static_cast<int64_t>(event->lost.value_or(1000)) : static_cast<int64_t>(event->id));
        }
        return ids;
    }
    std::vector<int64_t> told_after(int64_t start, uint64_t id) {
        EventReader reader(log_, EventPlace{start, id});
        return told(reader);
    }

    asio::io_context loop_;
    EventLog log_{loop_.get_executor(), kStart, kKept};
    BoxRecord box_;
};

using Ids = std::vector<int64_t>;

TEST_F(EventLogTest, KeepsTheNewest) {
    EXPECT_EQ(log_.newest(), 0U);
    EXPECT_EQ(log_.oldest(), 1U);
    publish(5);
    EXPECT_EQ(log_.newest(), 5U);
    EXPECT_EQ(log_.oldest(), 3U);
    EventReader reader(log_);
    EXPECT_EQ(told(reader), (Ids{3, 4, 5})) << "who asks for what is kept has missed nothing";
    publish(1);
    EXPECT_EQ(told(reader), (Ids{6}));
}

TEST_F(EventLogTest, AReaderGoesOnRightAfterItsPlace) {
    publish(3);
    EXPECT_EQ(told_after(kStart, 0), (Ids{1, 2, 3}));
    EXPECT_EQ(told_after(kStart, 2), (Ids{3}));
    EXPECT_EQ(told_after(kStart, 3), (Ids{}));
    publish(2);
    EXPECT_EQ(told_after(kStart, 2), (Ids{3, 4, 5})) << "the oldest kept is the next: nothing is missing";
}

TEST_F(EventLogTest, AReaderThatIsTooSlowIsToldHowManyItMissed) {
    publish(1);
    EventReader reader(log_);
    EXPECT_EQ(told(reader), (Ids{1}));
    publish(7);
    EXPECT_EQ(told(reader), (Ids{-4, 6, 7, 8}));
    EXPECT_EQ(told_after(kStart, 1), (Ids{-4, 6, 7, 8}));
    EventReader late(log_, EventPlace{kStart, 1});
    const auto gap = late.next();
    EXPECT_EQ(told_after(kStart, gap->id), (Ids{6, 7, 8})) << "the place of a gap is behind it";
}

TEST_F(EventLogTest, APlaceOfAnotherDaemonIsAGapOfUnknownSize) {
    EXPECT_EQ(told_after(kStart - 1, 2), (Ids{-1000}));
    publish(4);
    EXPECT_EQ(told_after(kStart - 1, 2), (Ids{-1000, 2, 3, 4})) << "though an event of ours has that number";
    EXPECT_EQ(told_after(kStart + 1, 900), (Ids{-1000, 2, 3, 4}));
}

TEST_F(EventLogTest, HoldsNoMoreTextThanItsLimit) {
    RunRecord run;
    run.prompt = std::string(EventLog::kMostText - 4, 'x') + "\u00e9\u00e9" + std::string(1 << 20, 'x');
    log_.publish(EventType::kRunStarted, box_, run);
    const std::string& kept = log_.at(1).run->prompt;
    EXPECT_EQ(kept, std::string(EventLog::kMostText - 4, 'x') + "...") << "cut before a character, not in it";
    log_.publish(EventType::kBoxFailed, box_, std::string(1 << 20, 'x'));
    EXPECT_EQ(log_.at(2).reason.size(), EventLog::kMostText);
}

TEST_F(EventLogTest, SaysNothingOfInternalBoxes) {
    box_.internal = true;
    log_.publish(EventType::kBoxCreated, box_);
    log_.publish(EventType::kRunStarted, box_, RunRecord{});
    EXPECT_EQ(log_.newest(), 0U);
}

TEST_F(EventLogTest, WakesWhoFollowsForEachEventAndAtTheEnd) {
    int woken = 0;
    const auto follow = [&]() -> Task<> {
        while (!log_.closed()) {
            co_await log_.grown();
            ++woken;
        }
    };
    asio::co_spawn(loop_, follow(), asio::detached);
    loop_.poll();
    publish(1);
    loop_.poll();
    EXPECT_EQ(woken, 1);
    log_.close();
    loop_.poll();
    EXPECT_EQ(woken, 2);
    EXPECT_TRUE(loop_.stopped()) << "nobody waits any more";
}

TEST(BoundedLines, KeepsTheBeginningsOfTheFirstLines) {
    std::vector<std::string> kept;
    BoundedLines lines([&](const std::string& line) { kept.push_back(line); });
    lines.feed("one\ntw");
    lines.feed("o\n\n" + std::string(5000, 'x') + "\nlast");
    lines.finish();
    EXPECT_EQ(kept, (std::vector<std::string>{"one", "two", "", std::string(BoundedLines::kMaxLine, 'x'), "last"}));
}

TEST(BoundedLines, SaysHowManyWereDropped) {
    std::vector<std::string> kept;
    BoundedLines lines([&](const std::string& line) { kept.push_back(line); });
    for (size_t i = 0; i < BoundedLines::kMaxLines + 7; ++i) lines.feed("x\n");
    lines.finish();
    ASSERT_EQ(kept.size(), BoundedLines::kMaxLines + 1);
    EXPECT_EQ(kept.back(), "(7 more lines were dropped)");
}

TEST(Names, AreRefusedWithTheirField) {
    for (const char* good : {"a", "A-1_b.c", "7up"}) EXPECT_TRUE(check_name("name", good).ok()) << good;
    for (const std::string& bad :
         {std::string(), std::string(".."), std::string("-a"), std::string("a/b"), std::string("a b"),
          std::string("a\n"), std::string(65, 'a'), std::string("\xc3\xa4")}) {
        ASSERT_FALSE(check_name("name", bad).ok()) << bad;
        EXPECT_EQ(check_name("name", bad).error().message.rfind("name: ", 0), 0U);
    }
}

class UidSlotsTest : public ::testing::Test {
  protected:
    // In memory: one of the tests makes 20,000 links.
    UidSlotsTest() : claims_("/dev/shm/hutch-uids-" + std::to_string(getpid())) { clear(); }
    ~UidSlotsTest() override { clear(); }
    [[nodiscard]] UidSlots of(const std::string& name) const { return UidSlots::open(claims_, name).value(); }
    void clear() const { ASSERT_TRUE(remove_tree_at(AT_FDCWD, claims_).ok()); }

    std::string claims_;
};

TEST_F(UidSlotsTest, NeverGiveOneTwiceAndLetItRest) {
    UidSlots slots = of("one");
    EXPECT_EQ(slots.reserve(1).value(), "");
    EXPECT_EQ(slots.take().value(), 0);
    EXPECT_EQ(slots.take().value(), 2);
    slots.release(0);
    EXPECT_EQ(slots.take().value(), 3) << "a freed range comes last";
    EXPECT_EQ(UidSlots::base_of(1) - UidSlots::base_of(0), 65536U);
    EXPECT_EQ(UidSlots::high_base_of(1) - UidSlots::high_base_of(0), 196608U);
    EXPECT_GT(UidSlots::high_base_of(UidSlots::kWide - 1), UidSlots::base_of(UidSlots::kCount));
    EXPECT_LT(UidSlots::high_base_of(UidSlots::kWide - 1), UINT32_MAX - 196608U);
    for (int64_t i = 3; i < UidSlots::kCount; ++i) ASSERT_TRUE(slots.take().ok()) << i;
    EXPECT_EQ(slots.take().error().kind, ErrorKind::kLimit);
}

TEST_F(UidSlotsTest, AreNotGivenByTwoDaemons) {
    UidSlots one = of("one");
    UidSlots two = of("two");
    EXPECT_EQ(one.take().value(), 0);
    EXPECT_EQ(two.take().value(), 1);
    EXPECT_EQ(two.reserve(0).value(), "one") << "that of a box which both have had";
    EXPECT_FALSE(two.owns(0));
    two.release(0);  // not its own to give back
    EXPECT_EQ(one.take().value(), 2);
    one.release(0);
    EXPECT_EQ(two.reserve(0).value(), "");
}

TEST_F(UidSlotsTest, OutliveTheirDaemonAsItsBoxesDo) {
    {
        UidSlots one = of("one");
        EXPECT_EQ(one.take().value(), 0);
        EXPECT_EQ(one.take().value(), 1);
    }
    UidSlots two = of("two");
    EXPECT_EQ(two.take().value(), 2);
    UidSlots one = of("one");
    EXPECT_EQ(one.reserve(1).value(), "");
    ASSERT_TRUE(one.drop_leftovers().ok());
    const std::map<std::string, std::set<int64_t>> claimed = {{"one", {1}}, {"two", {2}}};
    EXPECT_EQ(claimed_uid_slots(claims_).value(), claimed);
}

TEST(Paths, AreAbsoluteOrBelowTheWorkDir) {
    EXPECT_EQ(absolute_path("a/b"), "/workspace/home/a/b");
    EXPECT_EQ(absolute_path("/etc"), "/etc");
    EXPECT_EQ(absolute_path(""), "/workspace/home");
    EXPECT_EQ(absolute_path("~/a"), "/home/boxuser/a");
    EXPECT_EQ(absolute_path("~"), "/home/boxuser");
    EXPECT_EQ(absolute_path("~a/~"), "/workspace/home/~a/~");
}

// ---- event loop

TEST(Workers, BringBackWhatWasThrown) {
    asio::io_context loop(1);
    Workers workers(1);
    std::string caught;
    const auto work = [&]() -> Task<> {
        try {
            (void)co_await workers.run([]() -> int { throw std::bad_alloc(); });
        } catch (const std::bad_alloc&) {
            caught = "bad_alloc";
        }
    };
    asio::co_spawn(loop, work(), asio::detached);
    loop.run();
    EXPECT_EQ(caught, "bad_alloc");
}

TEST(Gate, MayGoBeforeAPassThatIsInside) {
    asio::io_context loop(1);
    std::optional<Gate> gate(loop.get_executor());
    std::optional<Gate::Pass> pass(gate->enter());
    bool closed = false;
    asio::co_spawn(loop, gate->close(), [&](const std::exception_ptr&) { closed = true; });
    loop.poll();
    EXPECT_TRUE(gate->closed());
    EXPECT_FALSE(closed);
    pass.reset();
    loop.poll();
    EXPECT_TRUE(closed);
    pass.emplace(gate->enter());
    gate.reset();
    pass.reset();
}

// ---- host

// As a child that is not yet an init has, when its daemon is killed.
TEST(Host, ACopyOfTheDescriptorInAChildDoesNotKeepTheStateLocked) {
    char name[] = "/tmp/hutch-lock-XXXXXX";
    Config config;
    config.state_dir = config.run_dir = mkdtemp(name);
    auto lock = lock_state(config);
    ASSERT_TRUE(lock.ok());
    const pid_t child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    lock->reset();
    EXPECT_TRUE(lock_state(config).ok());
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    std::filesystem::remove_all(config.state_dir);
}

TEST(Host, AnotherProcessFindsTheStateLocked) {
    char name[] = "/tmp/hutch-lock-XXXXXX";
    Config config;
    config.state_dir = config.run_dir = mkdtemp(name);
    const auto lock = lock_state(config);
    ASSERT_TRUE(lock.ok());
    const pid_t child = fork();
    if (child == 0) _exit(lock_state(config).ok() ? 1 : 0);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::filesystem::remove_all(config.state_dir);
}

}  // namespace
}  // namespace hutch::daemon
