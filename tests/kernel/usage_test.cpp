// What a quiet box costs: the clock of its timers stands where the test puts it, its CPU time is the kernel's.

#include <gtest/gtest.h>

#include <optional>

#include "base/file.h"
#include "cgroups/hierarchy.h"
#include "daemon/box/agenda.h"
#include "daemon/box/meter.h"
#include "tests/kernel/cgroup_child.h"

namespace hutch::daemon {
namespace {

using hutch::testing::CgroupChild;
using std::chrono::minutes;

constexpr cgroups::Millis kLong{20'000};  // only a failing test ever waits this long
constexpr Moment kNoon{std::chrono::hours(12)};

class UsageTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        auto opened = cgroups::Hierarchy::open("hutch-test-usage");
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        hierarchy_.emplace(std::move(opened).value());
        ASSERT_TRUE(hierarchy_->recover({}, kLong).ok());
    }
    void TearDown() override {
        if (!hierarchy_) return;
        EXPECT_TRUE(hierarchy_->recover({}, kLong).ok());
        EXPECT_TRUE(hierarchy_->remove_parent().ok());
    }
    std::optional<cgroups::Hierarchy> hierarchy_;
};

/// Returns once the child waits in the kernel, where it uses no CPU: 'S' in /proc/PID/stat.
void wait_until_it_sleeps(const CgroupChild& child) {
    const std::string path = "/proc/" + std::to_string(child.pid()) + "/stat";
    while (read_file_at(AT_FDCWD, path).value().find(") S ") == std::string::npos) {
    }
}

// An idle box is awake for half of the hour and asleep for the rest of it: neither costs anything.
TEST_F(UsageTest, AQuietHourCostsNothing) {
    auto group = hierarchy_->create("quiet", {.memory_bytes = 64 << 20, .cpus = 2, .pids = 64}, 600'000'000);
    ASSERT_TRUE(group.ok()) << group.error().message;
    auto leaf = group->make_leaf("init", 600'000'000);
    ASSERT_TRUE(leaf.ok());
    const CgroupChild init(leaf->fd(), [] {
        for (;;) pause();
        return 0;
    });
    ASSERT_TRUE(init.started());
    wait_until_it_sleeps(init);

    BoxRecord box;
    box.id = "quiet";
    const auto bill = [&](Moment now) {
        const LifeUse used{{static_cast<int64_t>(group->cpu_ns().value())}};
        const UsageRecord usage =
            unbooked(box, used, minutes(1), 1'764'000'000'000 + (now - kNoon).count() / 1'000'000);
        box.booked += usage.counters;
        return usage.counters.cpu_ns;
    };
    EXPECT_GT(bill(kNoon), 0) << "its start";

    Timetable table{.awake = true, .activity = {.last = kNoon}, .settings = {false, minutes(30)}};
    for (Moment now = kNoon; now <= kNoon + minutes(60); now += minutes(1)) {
        if (agenda_of(table, now).due == Due::kPause) {
            ASSERT_TRUE(group->freeze(kLong).ok());
            table.awake = false;
            EXPECT_EQ(now, kNoon + minutes(30));
            (void)bill(now);  // what stopping cost
        }
        EXPECT_EQ(bill(now), 0) << "minute " << std::chrono::duration_cast<minutes>(now - kNoon).count();
    }
    EXPECT_FALSE(table.awake);
}

}  // namespace
}  // namespace hutch::daemon
