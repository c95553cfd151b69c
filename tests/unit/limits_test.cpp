#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "daemon/agent/token_scan.h"
#include "daemon/customer_limits.h"
#include "daemon/host_room.h"
#include "daemon/turns.h"

namespace hutch::daemon {
namespace {

/// Takes turns in the order of the calls, and keeps them until they are told to end.
class TurnsTest : public ::testing::Test {
  protected:
    void want(Turns& turns, const std::string& customer) {
        asio::co_spawn(
            loop_,
            [this, &turns, customer]() -> Task<> {
                auto turn = co_await turns.take(customer);
                held_.emplace_back(customer, std::move(turn));
                order_ += customer + " ";
            },
            asio::detached);
        run();
    }
    void end(const std::string& customer) {
        const auto found =
            std::find_if(held_.begin(), held_.end(), [&](const auto& each) { return each.first == customer; });
        ASSERT_NE(found, held_.end());
        held_.erase(found);
        run();
    }
    void run() {
        loop_.restart();
        loop_.poll();
    }

    asio::io_context loop_;
    std::list<std::pair<std::string, Turns::Turn>> held_;
    std::string order_;
};

TEST_F(TurnsTest, OneCustomerLeavesTheRestToOthers) {
    Turns turns(4, 3);
    for (int i = 0; i < 6; ++i) want(turns, "alice");
    EXPECT_EQ(order_, "alice alice alice ");
    want(turns, "bob");
    EXPECT_EQ(order_, "alice alice alice bob ");
    end("bob");
    EXPECT_EQ(order_, "alice alice alice bob ") << "alice has all that she may";
    end("alice");
    EXPECT_EQ(order_, "alice alice alice bob alice ");
}

TEST_F(TurnsTest, ThoseWhoWaitTakeTurnsByCustomer) {
    Turns turns(1, 1);
    want(turns, "alice");
    for (int i = 0; i < 3; ++i) want(turns, "alice");
    want(turns, "bob");
    want(turns, "carol");
    order_.clear();
    for (const char* customer : {"alice", "bob", "carol", "alice"}) end(customer);
    EXPECT_EQ(order_, "bob carol alice alice ");
}

TEST_F(TurnsTest, TheHostsOwnCustomerMayHaveAll) {
    Turns turns(4, 1);
    for (int i = 0; i < 5; ++i) want(turns, kLocalCustomer);
    EXPECT_EQ(held_.size(), 4U);
}

HostRoom room_of(int64_t available_mib, int64_t tasks) {
    return {.memory_bytes = 8LL << 30U, .available_bytes = available_mib << 20U, .most_tasks = 32768, .tasks = tasks};
}

TEST(HostRoom, IsReadAndHasRoomHere) {
    const auto room = host_room();
    ASSERT_TRUE(room.ok()) << room.error().message;
    EXPECT_GT(room.value().memory_bytes, room.value().available_bytes);
    EXPECT_GT(room.value().available_bytes, 0);
    EXPECT_GT(room.value().most_tasks, room.value().tasks);
    EXPECT_GT(room.value().tasks, 0);
}

TEST(HostRoom, WithoutRoomNoBoxIsMade) {
    EXPECT_TRUE(check_room(room_of(4000, 1000)).ok());
    const auto memory = check_room(room_of(100, 1000));
    ASSERT_FALSE(memory.ok());
    EXPECT_EQ(memory.error().kind, ErrorKind::kLimit);
    EXPECT_TRUE(memory.error().message.starts_with("host: 100 MiB of its 8192 MiB of memory"))
        << memory.error().message;
    const auto tasks = check_room(room_of(4000, 30000));
    ASSERT_FALSE(tasks.ok());
    EXPECT_NE(tasks.error().message.find("30000 of at most 32768 processes"), std::string::npos);
}

TEST(TokenScan, FindsTheLargestOfEachInPiecesOfAnySize) {
    const std::string answer =
        R"(data: {"usage":{"input_tokens":70,"cache_creation_input_tokens": 7,"cache_read_input_tokens":900,"output_tokens":1}})"
        "\n\n"
        R"(data: {"text":"\"output_tokens\": 5000, \"input_tokens\":9"}  data: {"usage":{"output_tokens" : 30}})";
    for (size_t size = 1; size <= answer.size(); ++size) {
        TokenScan scan;
        for (size_t at = 0; at < answer.size(); at += size) scan.feed(std::string_view(answer).substr(at, size));
        EXPECT_EQ(scan.tokens(), 107) << size;
    }
}

TEST(TokenScan, TakesWhatIsNoNumberForNone) {
    TokenScan scan;
    scan.feed(
        R"({"input_tokens":"many","output_tokens":-5,"prompt_tokens":null,"completion_tokens":99999999999999999999})");
    EXPECT_EQ(scan.tokens(), 0);
}

}  // namespace
}  // namespace hutch::daemon
