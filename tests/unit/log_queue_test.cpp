#include "daemon/log_queue.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <thread>
#include <vector>

#include "daemon/log.h"

namespace hutch::daemon {
namespace {

std::string gap(uint64_t dropped) {
    return std::to_string(dropped) + " dropped";
}

TEST(LogQueue, NeverWaitsForItsReaderAndTellsWhatItDropped) {
    auto& queue = *new LogQueue(100, gap);  // its thread goes on to the end of the program
    std::promise<void> go_on;
    auto may_go_on = go_on.get_future().share();
    auto& written = *new std::vector<std::string>;
    std::thread([&queue, &written, may_go_on] {
        queue.write_all([&](const std::string& line) {
            may_go_on.wait();
            written.push_back(line);
        });
    }).detach();
    for (int i = 0; i < 1000; ++i) queue.add(std::string(10, 'a'));
    queue.flush(std::chrono::milliseconds(0));  // no longer than it may
    go_on.set_value();
    queue.flush(std::chrono::seconds(60));
    ASSERT_GE(written.size(), 11U);
    ASSERT_LE(written.size(), 12U);  // ten wait, and one may have been in the writer's hands
    EXPECT_EQ(written.back(), std::to_string(1001 - written.size()) + " dropped");
    queue.add("more");
    queue.flush(std::chrono::seconds(60));
    EXPECT_EQ(written.back(), "more");
}

// A pipe that nobody reads, as standard error of a process that says more than it holds and then ends.
TEST(Log, AFullPipeHoldsNobodyUp) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(pipe[1], STDERR_FILENO);
        alarm(60);
        for (int i = 0; i < 20'000; ++i) log_info("{}", std::string(200, 'x'));
        exit(7);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
    close(pipe[0]);
    close(pipe[1]);
}

}  // namespace
}  // namespace hutch::daemon
