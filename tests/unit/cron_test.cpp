#include <gtest/gtest.h>

#include "daemon/clock.h"
#include "daemon/wire/cron.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMonday = 1'796'040'000;  // 2026-11-30T12:00:00Z

Cron cron_of(std::string_view text) {
    auto cron = Cron::parse(text);
    EXPECT_TRUE(cron.ok()) << text << ": " << (cron.ok() ? "" : cron.error().message);
    return std::move(cron).value();
}

/// When it fires next, so many times.
std::string fires(std::string_view text, int64_t after = kMonday, int times = 1) {
    const Cron cron = cron_of(text);
    std::string all;
    for (int i = 0; i < times; ++i) {
        const auto next = cron.after(after);
        if (!next) return all + "never";
        after = *next;
        all += (i > 0 ? " " : "") + rfc3339(after).substr(0, 16);
    }
    return all;
}

std::string refusal(std::string_view text) {
    const auto cron = Cron::parse(text);
    if (cron.ok()) return "taken";
    EXPECT_EQ(cron.error().kind, ErrorKind::kInvalid);
    return cron.error().message;
}

TEST(CronTest, FiresAtTheNextMinuteThatItNames) {
    EXPECT_EQ(fires("* * * * *"), "2026-11-30T12:01");
    EXPECT_EQ(fires("* * * * *", kMonday + 59), "2026-11-30T12:01");
    EXPECT_EQ(fires("* * * * *", kMonday + 60), "2026-11-30T12:02");
    EXPECT_EQ(fires("0 12 * * *"), "2026-12-01T12:00");
    EXPECT_EQ(fires("0 12 * * *", kMonday - 1), "2026-11-30T12:00");
    EXPECT_EQ(fires("  30\t9 1 1 *  "), "2027-01-01T09:30");
    EXPECT_EQ(fires("59 23 31 12 *", kMonday, 2), "2026-12-31T23:59 2027-12-31T23:59");
    EXPECT_EQ(fires("0 0 * * *", -1), "1970-01-01T00:00");
}

TEST(CronTest, TakesRangesStepsListsAndNames) {
    EXPECT_EQ(fires("*/20 * * * *", kMonday, 4), "2026-11-30T12:20 2026-11-30T12:40 2026-11-30T13:00 2026-11-30T13:20");
    EXPECT_EQ(fires("10-30/10,55 23 * * *", kMonday, 4),
              "2026-11-30T23:10 2026-11-30T23:20 2026-11-30T23:30 2026-11-30T23:55");
    EXPECT_EQ(fires("0 0 1 JAN,jul *", kMonday, 2), "2027-01-01T00:00 2027-07-01T00:00");
    EXPECT_EQ(fires("0 8 * * mon-fri", kMonday, 5),
              "2026-12-01T08:00 2026-12-02T08:00 2026-12-03T08:00 2026-12-04T08:00 2026-12-07T08:00");
    EXPECT_EQ(fires("0 8 * * 7", kMonday), fires("0 8 * * 0", kMonday));
    EXPECT_EQ(fires("0 8 * * Sun", kMonday), "2026-12-06T08:00");
    EXPECT_EQ(fires("0 8 * * sat-sun", kMonday, 3), "2026-12-05T08:00 2026-12-06T08:00 2026-12-12T08:00");
    EXPECT_EQ(fires("0 8 * * 5-7/2", kMonday, 2), "2026-12-04T08:00 2026-12-06T08:00");
}

TEST(CronTest, EitherFieldOfDaysIsEnoughWhereNeitherBeginsWithAStar) {
    EXPECT_EQ(fires("0 0 13 * fri", kMonday, 4), "2026-12-04T00:00 2026-12-11T00:00 2026-12-13T00:00 2026-12-18T00:00");
    EXPECT_EQ(fires("0 0 */2 * fri", kMonday, 3), "2026-12-11T00:00 2026-12-25T00:00 2027-01-01T00:00");
    EXPECT_EQ(fires("0 0 13 * *", kMonday, 2), "2026-12-13T00:00 2027-01-13T00:00");
    EXPECT_EQ(fires("0 0 30 2 mon", kMonday), "2027-02-01T00:00");
}

TEST(CronTest, KnowsHowLongMonthsAre) {
    EXPECT_EQ(fires("0 0 31 * *", kMonday, 3), "2026-12-31T00:00 2027-01-31T00:00 2027-03-31T00:00");
    EXPECT_EQ(fires("0 0 29 2 *", kMonday, 2), "2028-02-29T00:00 2032-02-29T00:00");
    EXPECT_EQ(fires("0 0 29 2 *", 3'981'916'800, 1), "2104-02-29T00:00");  // 2100 has none, as of 2096-03-07
    EXPECT_EQ(fires("0 0 29 2 */7", kMonday, 2), "2032-02-29T00:00 2060-02-29T00:00");  // a Sunday
    EXPECT_EQ(fires("0 0 1 1 *", (int64_t{1} << 43) / 1000 - 60), "never");
    EXPECT_EQ(fires("* * * * *", INT64_MAX), "never");
}

TEST(CronTest, RefusesByTheNameOfTheFieldAndWhatWasTyped) {
    EXPECT_EQ(refusal("60 * * * *"), R"(cron: minute: "60" is not from 0 to 59)");
    EXPECT_EQ(refusal("* 24 * * *"), R"(cron: hour: "24" is not from 0 to 23)");
    EXPECT_EQ(refusal("* * 0 * *"), R"(cron: day of the month: "0" is not from 1 to 31)");
    EXPECT_EQ(refusal("* * * 13 *"), R"(cron: month: "13" is not from 1 to 12, or jan to dec)");
    EXPECT_EQ(refusal("* * * * 8"), R"(cron: day of the week: "8" is not from 0 to 7, or sun to sat)");
    EXPECT_EQ(refusal("* * * * monday"), R"(cron: day of the week: "monday" is not from 0 to 7, or sun to sat)");
    EXPECT_EQ(refusal("5/15 * * * *"), R"(cron: minute: "5/15" has a step and no range; write 5-59/15)");
    EXPECT_EQ(refusal("*/0 * * * *"), R"(cron: minute: "*/0" needs a step from 1 to 59)");
    EXPECT_EQ(refusal("*/60 * * * *"), R"(cron: minute: "*/60" needs a step from 1 to 59)");
    EXPECT_EQ(refusal("30-10 * * * *"), R"(cron: minute: "30-10" ends before it begins)");
    EXPECT_EQ(refusal("1,,2 * * * *"), R"(cron: minute: "1,,2" has an empty place in its list)");
    EXPECT_EQ(refusal("* * 30 feb *"), "cron: day of the month: there never is a day 30 in feb");
    EXPECT_EQ(refusal("* * 31 4,6,9,11 *"), "cron: day of the month: there never is a day 31 in apr");
    EXPECT_EQ(
        refusal("* * * *"),
        R"(cron: "* * * *" has 4 fields; write five: minute, hour, day of the month, month, day of the week (in UTC))");
    for (const char* bad : {"", "@daily", "* * * * * *", "* * L * *", "* * ? * *", "* * * * 1#2", "-1 * * * *",
                            "1- * * * *", "*5 * * * *", "+5 * * * *", "001 * * * *", "1-2-3 * * * *", "*/ * * * *",
                            "*/1/1 * * * *", "*-5 * * * *", "\xff * * * *", "* * * jan- *", "*\n* * * *"}) {
        EXPECT_TRUE(refusal(bad).starts_with("cron: ")) << bad;
    }
    EXPECT_EQ(refusal(std::string(1000, '*')), "cron: is longer than 256 bytes; make several schedules of it");
}

}  // namespace
}  // namespace hutch::daemon
