#include "daemon/api/room.h"

#include <gtest/gtest.h>

#include <vector>

namespace hutch::daemon {
namespace {

TEST(Room, IsAnEighthOfTheRestForEachAndIsGivenBack) {
    const auto room = std::make_shared<Room>(90);
    Room::Share first(room, "a");
    EXPECT_TRUE(first.grow(8));
    {
        Room::Share second(room, "a");
        EXPECT_FALSE(second.grow(3));
        EXPECT_TRUE(second.grow(2));
        EXPECT_FALSE(first.grow(1));
        EXPECT_TRUE(Room::Share(room, "b").grow(8));
    }
    EXPECT_TRUE(first.grow(2));
    EXPECT_FALSE(first.grow(1));
}

TEST(Room, ManyWhoTakeAllTheyCanLeaveSomeForTheNext) {
    const auto room = std::make_shared<Room>(10'000);
    std::vector<std::unique_ptr<Room::Share>> greedy;
    for (int i = 0; i < 40; ++i) {
        greedy.push_back(std::make_unique<Room::Share>(room, std::to_string(i)));
        EXPECT_TRUE(greedy.back()->grow(1)) << i;
        while (greedy.back()->grow(1)) {
        }
    }
    greedy.clear();
    EXPECT_TRUE(Room::Share(room, "next").grow(1'000));
}

}  // namespace
}  // namespace hutch::daemon
