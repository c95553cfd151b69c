#include <gtest/gtest.h>

#include "cgroups/mounts.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

using Words = std::vector<std::string>;

TEST(CgroupMounts, HybridHostHasOneUnifiedAndManyV1) {
    const auto mounts = parse_mounts(
        "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "31 23 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
        "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_TRUE(mounts[0].unified);
    EXPECT_EQ(mounts[0].path, "/sys/fs/cgroup/unified");
    EXPECT_FALSE(mounts[1].unified);
    EXPECT_EQ(mounts[1].path, "/sys/fs/cgroup/cpu,cpuacct");
    EXPECT_EQ(mounts[1].options, (Words{"rw", "cpu", "cpuacct"}));
}

TEST(CgroupMounts, AnyNumberOfTagsMayPrecedeTheDash) {
    const auto mounts = parse_mounts(
        "1 0 0:1 / /none rw - cgroup2 cgroup2 rw\n"
        "2 0 0:2 / /three rw shared:1 master:2 unbindable - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].path, "/none");
    EXPECT_EQ(mounts[1].path, "/three");
}

TEST(CgroupMounts, EscapesInAPathAreUndone) {
    const auto mounts = parse_mounts("1 0 0:1 / /a\\040b\\011c\\012d\\134e\\9 rw - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].path, "/a b\tc\nd\\e\\9");
}

TEST(CgroupMounts, WholeMountsComeBeforeBoundParts) {
    const auto mounts = parse_mounts(
        "1 0 0:1 /some/part /bound rw - cgroup2 cgroup2 rw\n"
        "2 0 0:1 / /whole rw - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].path, "/whole");
    EXPECT_FALSE(mounts[1].whole);
}

TEST(CgroupMounts, BrokenLinesAreNoMounts) {
    EXPECT_TRUE(parse_mounts("").empty());
    EXPECT_TRUE(parse_mounts("\n\n- - - -\n").empty());
    EXPECT_TRUE(parse_mounts("1 0 0:1 / /x rw cgroup2 cgroup2 rw\n").empty()) << "no dash";
    EXPECT_TRUE(parse_mounts("1 0 0:1 / /x rw - cgroup2 cgroup2").empty()) << "cut short";
}

TEST(CgroupValues, AKeyIsFoundAsAWholeWord) {
    const std::string text = "oom 3\noom_kill_disable 0\noom_kill 7\n";
    EXPECT_EQ(find_value(text, "oom_kill"), 7U);
    EXPECT_EQ(find_value(text, "oom"), 3U);
    EXPECT_EQ(find_value(text, "kill"), std::nullopt);
    EXPECT_EQ(find_value(text, "oom_"), std::nullopt);
}

TEST(CgroupValues, TheLastLineNeedsNoNewline) {
    EXPECT_EQ(find_value("populated 1\nfrozen 0", "frozen"), 0U);
}

TEST(CgroupValues, WhatIsNoNumberIsNoValue) {
    for (const char* text :
         {"", "key", "key ", "key \n", "key max\n", "key 1x\n", "key -1\n", "key 99999999999999999999\n"}) {
        EXPECT_EQ(find_value(text, "key"), std::nullopt) << text;
    }
    EXPECT_EQ(find_value("key 18446744073709551615\n", "key"), UINT64_MAX);
}

}  // namespace
}  // namespace hutch::cgroups
