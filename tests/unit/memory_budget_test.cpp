#include "daemon/memory_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace hutch::daemon {
namespace {

TEST(MemoryBudget, GivesOneCallerAPartOfTheRestAndTakesItBack) {
    const auto budget = std::make_shared<MemoryBudget>(90, 8);
    MemoryShare first(budget, "a");
    EXPECT_TRUE(first.grow(8).ok());
    {
        MemoryShare second(budget, "a");
        EXPECT_FALSE(second.grow(3).ok());
        EXPECT_TRUE(second.grow(2).ok());
        EXPECT_FALSE(first.grow(1).ok());
        EXPECT_TRUE(MemoryShare(budget, "b").grow(8).ok());
    }
    EXPECT_TRUE(first.grow(2).ok());
    EXPECT_FALSE(first.grow(1).ok());
    first.shrink(10);
    EXPECT_EQ(budget->held(), 0U);
}

TEST(MemoryBudget, TellsOnesOwnLimitFromAFullHost) {
    const auto budget = std::make_shared<MemoryBudget>(100);
    MemoryShare greedy(budget, "a");
    EXPECT_EQ(greedy.grow(51).error().code, ENOBUFS);
    ASSERT_TRUE(greedy.grow(50).ok());
    MemoryShare late(budget, "b");
    EXPECT_EQ(late.grow(26).error().code, EBUSY);
    EXPECT_TRUE(late.grow(25).ok());
}

TEST(MemoryBudget, ManyWhoTakeAllTheyCanLeaveSomeForTheNext) {
    const auto budget = std::make_shared<MemoryBudget>(10'000, 8);
    std::vector<std::unique_ptr<MemoryShare>> greedy;
    for (int i = 0; i < 40; ++i) {
        greedy.push_back(std::make_unique<MemoryShare>(budget, std::to_string(i)));
        EXPECT_TRUE(greedy.back()->grow(1).ok()) << i;
        while (greedy.back()->grow(1).ok()) {
        }
    }
    greedy.clear();
    EXPECT_TRUE(MemoryShare(budget, "next").grow(1'000).ok());
}

}  // namespace
}  // namespace hutch::daemon
