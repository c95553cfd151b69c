#include "daemon/run/share.h"

#include <gtest/gtest.h>

#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using std::chrono::seconds;

TEST(ReadingPace, LetsABurstPassAndThenItsRate) {
    const ReadingPace::Clock::time_point now{seconds(1000)};
    ReadingPace pace(100, 10);
    EXPECT_EQ(pace.wait(now), seconds(0));
    pace.take(100, now);
    EXPECT_EQ(pace.wait(now), seconds(0));
    pace.take(20, now);
    EXPECT_EQ(pace.wait(now), seconds(2));
    EXPECT_EQ(pace.wait(now + seconds(1)), seconds(1));
    pace.take(10, now + seconds(2));
    EXPECT_EQ(pace.wait(now + seconds(2)), seconds(1));
    EXPECT_EQ(pace.wait(now + seconds(100)), seconds(0)) << "what is not used for long is a burst again, and no more";
    pace.take(100, now + seconds(100));
    EXPECT_EQ(pace.wait(now + seconds(100)), seconds(0));
    pace.take(1, now + seconds(100));
    EXPECT_GT(pace.wait(now + seconds(100)), seconds(0));
}

class ReadingTurnsTest : public testing::Test {
  protected:
    Task<> write(std::shared_ptr<ReadingTurns::Share> share, char name, int pieces) {
        Event never(loop_.get_executor());
        while (pieces-- > 0) {
            co_await share->turn(true, never);
            read_ += name;
            share->took(ReadingTurns::kPiece, true);
        }
    }
    void begin(const std::shared_ptr<ReadingTurns::Share>& share, char name, int pieces) {
        spawn(loop_.get_executor(), "a writer", write(share, name, pieces));
    }

    asio::io_context loop_{1};
    std::shared_ptr<ReadingTurns> turns_ = std::make_shared<ReadingTurns>(loop_.get_executor());
    std::string read_;
};

TEST_F(ReadingTurnsTest, ABoxWithManyWritersIsOneAmongTheOthers) {
    const auto crowd = turns_->share("crowd");
    const auto other = turns_->share("other");
    for (int i = 0; i < 100; ++i) begin(crowd, 'c', 10);
    begin(other, 'o', 5);
    loop_.run();
    EXPECT_EQ(read_.size(), 1005U);
    EXPECT_LE(read_.find_last_of('o'), 25U) << read_.substr(0, 100);
}

TEST_F(ReadingTurnsTest, WhatElseTheLoopHasToDoComesInBetween) {
    const auto crowd = turns_->share("crowd");
    for (int i = 0; i < 10; ++i) begin(crowd, 'c', 100);
    size_t read_before_last = 0;
    spawn(loop_.get_executor(), "a request", [&]() -> Task<> {
        asio::steady_timer timer(loop_);
        for (int step = 0; step < 10; ++step) {
            timer.expires_after(seconds(0));
            co_await timer.async_wait(kAwait);
        }
        read_before_last = read_.size();
    });
    loop_.run();
    EXPECT_EQ(read_.size(), 1000U);
    EXPECT_LE(read_before_last, 40U);
}

TEST_F(ReadingTurnsTest, AShareIsTheSameForAllRunsOfABoxAndGoesWithTheLast) {
    auto one = turns_->share("box");
    EXPECT_EQ(one, turns_->share("box"));
    EXPECT_NE(one, turns_->share("another"));
    one.reset();
    EXPECT_EQ(turns_->share("box").use_count(), 1);
}

}  // namespace
}  // namespace hutch::daemon
