#include "daemon/spawn.h"

#include <gtest/gtest.h>

#include <new>

#include "base/undo.h"
#include "daemon/event.h"

namespace hutch::daemon {
namespace {

class SpawnTest : public testing::Test {
  protected:
    Task<> fail() {
        co_await pause();
        throw std::bad_alloc();
    }
    Task<> pause() {
        asio::steady_timer timer(loop_, std::chrono::milliseconds(1));
        co_await timer.async_wait(kAwait);
    }
    Ended hear() {
        return [this](const Result<void>& how) { heard_.push_back(how.ok() ? "fine" : how.error().message); };
    }

    asio::io_context loop_{1};
    std::vector<std::string> heard_;
};

TEST_F(SpawnTest, ItsOwnerHearsOfTheEnd) {
    spawn(loop_.get_executor(), "a task", pause(), hear());
    loop_.run();
    EXPECT_EQ(heard_, std::vector<std::string>{"fine"});
}

TEST_F(SpawnTest, ItsOwnerHearsOfAnException) {
    spawn(loop_.get_executor(), "a task", fail(), hear());
    loop_.run();
    EXPECT_EQ(heard_, std::vector<std::string>{"std::bad_alloc"});
}

TEST_F(SpawnTest, AnOwnerThatThrowsDoesNotEndTheLoop) {
    spawn(loop_.get_executor(), "a task", pause(), [](const Result<void>&) { throw std::runtime_error("too much"); });
    spawn(
        loop_.get_executor(), "another", [this]() -> Task<> { co_await pause(); }, hear());
    loop_.run();
    EXPECT_EQ(heard_, std::vector<std::string>{"fine"});
}

TEST_F(SpawnTest, KeepsAFunctionUntilItsTaskHasEnded) {
    const auto held = std::make_shared<int>(7);
    spawn(loop_.get_executor(), "a task", [this, held]() -> Task<> {
        co_await pause();
        heard_.push_back(std::to_string(*held));
    });
    loop_.run();
    EXPECT_EQ(heard_, std::vector<std::string>{"7"});
    EXPECT_EQ(held.use_count(), 1);
}

TEST_F(SpawnTest, WhatIsToLastBeginsAgainAfterAnExceptionAlone) {
    int begun = 0;
    spawn_lasting(loop_.get_executor(), "a task", [&]() -> Task<> {
        if (++begun < 3) co_await fail();
    });
    loop_.run();
    EXPECT_EQ(begun, 3);
}

class UnlessTest : public SpawnTest {
  protected:
    Task<int> seven() {
        co_await pause();
        co_return 7;
    }
    Task<int> never() {
        asio::steady_timer timer(loop_, asio::steady_timer::time_point::max());
        const Undo gone([this] { heard_.push_back("cancelled"); });
        co_await timer.async_wait(asio::use_awaitable);
        co_return 0;
    }
    Task<int> thrown() {
        co_await fail();
        co_return 0;
    }
    template <typename T>
    void run(Task<T> work) {
        asio::co_spawn(loop_, std::move(work), [](const std::exception_ptr& failed) {
            if (failed) std::rethrow_exception(failed);
        });
        loop_.run();
    }
    Event over_{loop_.get_executor()};
};

TEST_F(UnlessTest, IsWhatTheWorkComesTo) {
    std::optional<int> came;
    run([&]() -> Task<> { came = co_await unless(over_.wait(), seven()); }());
    EXPECT_EQ(came, 7);
}

TEST_F(UnlessTest, IsNothingWhenItIsOverBeforeAndTheWorkIsGoneByThen) {
    std::optional<int> came = 1;
    over_.set();
    run([&]() -> Task<> {
        came = co_await unless(over_.wait(), never());
        heard_.push_back("after");
    }());
    EXPECT_EQ(came, std::nullopt);
    EXPECT_EQ(heard_, (std::vector<std::string>{"cancelled", "after"}));
}

TEST_F(UnlessTest, ThrowsWhatTheWorkThrowsAndDoesNotWaitForTheOther) {
    EXPECT_THROW(run([&]() -> Task<> { (void)co_await unless(over_.wait(), thrown()); }()), std::bad_alloc);
}

TEST(Caught, AnExceptionIsAnError) {
    asio::io_context loop(1);
    std::string message;
    const auto work = []() -> Task<Result<int>> {
        throw std::bad_alloc();
        co_return 1;
    };
    spawn(loop.get_executor(), "a task", [&]() -> Task<> {
        const auto came = co_await caught(work());
        message = came.ok() ? "" : came.error().message;
    });
    loop.run();
    EXPECT_EQ(message, "std::bad_alloc");
}

}  // namespace
}  // namespace hutch::daemon
