#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "base/file.h"
#include "cgroups/hierarchy.h"
#include "cgroups/mounts.h"

namespace hutch::cgroups {

constexpr uid_t kOwner = 600'000'000;
constexpr Limits kLimits{.memory_bytes = 64 << 20, .cpus = 2, .pids = 64};
constexpr Millis kLong{20'000};  // only a failing test ever waits this long

/// A parent group of these tests' own on every hierarchy, gone after each, and with it whatever a failed test left.
class HierarchyTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        auto opened = Hierarchy::open(parent_);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        hierarchy_.emplace(std::move(opened).value());
        ASSERT_TRUE(hierarchy_->recover({}, kLong).ok()) << "what an earlier run that crashed has left";
    }
    void TearDown() override {
        if (!hierarchy_) return;
        const auto recovered = hierarchy_->recover({}, kLong);
        EXPECT_TRUE(recovered.ok() && recovered.value().busy.empty());
        const auto removed = hierarchy_->remove_parent();
        EXPECT_TRUE(removed.ok()) << removed.error().message;
        EXPECT_EQ(places(""), 0U);
    }
    /// On how many hierarchies of the host, ours or not, the test's parent has this group: asked by path, not by fd.
    [[nodiscard]] size_t places(const std::string& group) const {
        size_t count = 0;
        for (const Mount& mount : parse_mounts(read_file_at(AT_FDCWD, "/proc/self/mountinfo").value())) {
            if (access((mount.path + "/" + parent_ + "/" + group).c_str(), F_OK) == 0) ++count;
        }
        return count;
    }

    const std::string parent_ = "hutch-test-cgroups";
    std::optional<Hierarchy> hierarchy_;
};

}  // namespace hutch::cgroups
