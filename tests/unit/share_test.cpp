#include "daemon/run/share.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/run/stream.h"
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

TEST(Journal, InMemoryKeepsNoMoreThanItsRoom) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    const UniqueFd in(ends[1]);
    Journal journal;
    const auto say = [&](int pieces) {
        for (; pieces > 0; --pieces) {
            ASSERT_TRUE(write_all(in.get(), std::string(32768, 'x')).ok());
            ASSERT_EQ(journal.absorb(out.get(), 32768), 32768U);
        }
    };
    say(32);
    journal.fit(1 << 16, journal.end());
    EXPECT_EQ(journal.kept(), 1 << 16);
    say(32);
    journal.fit(1 << 16, (1 << 20) + 100);
    EXPECT_EQ(journal.begin(), (1U << 20) + 100) << "what is unread stays";
    EXPECT_EQ(journal.read(journal.begin(), 4).value(), "xxxx");
}

// Each of a thousand followed streams may be behind, and what all of them are behind is on the host's disk.
TEST_F(ReadingTurnsTest, ASlowReaderHoldsItsCommandBackByTheStreamsRoom) {
    constexpr size_t kStreams = 256;
    const auto executor = loop_.get_executor();
    const auto share = turns_->share("box");
    std::vector<std::unique_ptr<Stream>> others;
    while (others.size() < kStreams - 1) {
        others.push_back(std::make_unique<Stream>(executor, UniqueFd(), Journal()));
        share->join(*others.back());
    }
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    UniqueFd in(ends[1]);
    const int size = fcntl(in.get(), F_SETPIPE_SZ, 1 << 20);
    ASSERT_EQ(size, 1 << 20);
    ASSERT_TRUE(write_all(in.get(), std::string(static_cast<size_t>(size), 'x')).ok());
    in.reset();
    Stream stream(executor, UniqueFd(ends[0]), Journal());
    Event exited(executor);
    Event reads_on(executor);
    size_t read = 0;
    spawn(executor, "filling", stream.fill(exited, share));
    const auto slow = [&](std::string_view piece) -> Task<Result<void>> {
        read += piece.size();
        co_await reads_on.wait();
        co_return Result<void>();
    };
    spawn(executor, "following", [&]() -> Task<> { (void)co_await stream.follow(0, slow, Reader::kClient); });
    while (loop_.poll() > 0) {
    }
    EXPECT_GT(stream.journal().end(), 0U);
    EXPECT_LE(stream.journal().end(), ReadingTurns::Share::kMostKept / kStreams + ReadingTurns::kPiece);
    reads_on.set();
    loop_.run();
    EXPECT_EQ(read, static_cast<size_t>(size));
    for (const auto& other : others) share->leave(*other);
}

}  // namespace
}  // namespace hutch::daemon
