// What a command finds itself to be, and what is told about its end.

#include <signal.h>

#include <algorithm>
#include <set>

#include "base/undo.h"
#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

constexpr RunSpec::Terminal kTerminal{.rows = 33, .cols = 101};

class RuntimeCommandTest : public RuntimeTest {
  protected:
    /// Stage and errno of a command that must not start.
    std::pair<Stage, int> refused(const Command& command) {
        const Outcome outcome = box().run(command);
        return outcome.failed ? std::pair(outcome.failed->stage, outcome.failed->code) : std::pair(Stage::kNone, 0);
    }
    static constexpr std::pair<Stage, int> failed(Stage stage, int code) { return {stage, code}; }
    /// The runs that init tells of.
    std::set<uint64_t> held() {
        std::set<uint64_t> runs;
        must(box().link().ask_report(9));
        for (;;) {
            const Message message = box().next();
            if (message.reply.type == MessageType::kReportEnd) return runs;
            if (message.reply.type == MessageType::kHeld) runs.insert(message.reply.run_id);
        }
    }
    // The queue may be full of requests that init has not come to yet.
    void forget(uint64_t id) {
        while (!box().link().forget(id).ok()) {
            pollfd room{box().link().fd(), POLLOUT, 0};
            ASSERT_GT(poll(&room, 1, static_cast<int>(kLong.count())), 0);
        }
    }
    std::string error_of(const Command& command) {
        const Outcome outcome = box().run(command);
        return outcome.failed ? failure_of(*outcome.failed).message : "";
    }
};

TEST_F(RuntimeCommandTest, GetsItsArgumentsAsTheyAre) {
    EXPECT_EQ(probe({"arguments", "a", "", "b c", "$HOME\n"}), "[a][][b c][$HOME\n]");
}

TEST_F(RuntimeCommandTest, GetsItsEnvironmentAndNothingElse) {
    const Outcome outcome = box().run({.argv = {"/probe", "environment"}, .env = {"A=1", "B=", "C=x y"}});
    EXPECT_EQ(outcome.out, "[A=1][B=][C=x y]\n");
}

TEST_F(RuntimeCommandTest, IsLookedUpInThePathOfItsOwnEnvironment) {
    image_->put("only-here", "#!/bin/sh\necho found\n", 0755);
    EXPECT_EQ(box().run({.argv = {"only-here"}, .env = {"PATH=/nowhere:/bin:/"}}).out, "found\n");
    EXPECT_EQ(refused({.argv = {"only-here"}, .env = {"PATH=/bin"}}), failed(Stage::kCommand, ENOENT));
}

TEST_F(RuntimeCommandTest, StartsInItsWorkingDirectory) {
    EXPECT_EQ(box().run({.argv = {"sh", "-c", "pwd"}, .work_dir = "/bin"}).out, "/bin\n");
}

TEST_F(RuntimeCommandTest, RunsAsTheUserAskedForInItsGroupOnly) {
    EXPECT_EQ(probe({"ids"}), "uid 0 0 0 gid 0 0 0 groups 0");
    EXPECT_EQ(probe({"ids"}, kBoxUser), "uid 1000 1000 1000 gid 1000 1000 1000 groups 1000");
}

TEST_F(RuntimeCommandTest, ReadsAndWritesThePipesItWasGiven) {
    Running running = box().begin({.argv = {"sh", "-c", "read line; echo out $line; echo err >&2"}});
    must(write_all(running.in.get(), "hello\n"));
    EXPECT_EQ(box().finish(running).out, "out hello\nerr\n");
}

TEST_F(RuntimeCommandTest, ExitStatusesAreToldAsWaitGivesThem) {
    for (const int status : {0, 1, 42, 127, 255}) {
        const int told = box().run({.argv = {"sh", "-c", "exit " + std::to_string(status)}}).status;
        EXPECT_TRUE(WIFEXITED(told) && WEXITSTATUS(told) == status) << status;
    }
}

TEST_F(RuntimeCommandTest, DeathsBySignalAreToldAsWaitGivesThem) {
    for (const int signal : {SIGHUP, SIGINT, SIGABRT, SIGKILL, SIGSEGV, SIGTERM}) {
        const int told = box().run({.argv = {"sh", "-c", "kill -" + std::to_string(signal) + " $$"}}).status;
        EXPECT_TRUE(WIFSIGNALED(told) && WTERMSIG(told) == signal) << signal;
    }
}

TEST_F(RuntimeCommandTest, AMissingProgramIsNamed) {
    EXPECT_EQ(error_of({.argv = {"no-such-program"}}), "executing no-such-program: No such file or directory");
    EXPECT_EQ(error_of({.argv = {"/bin/none"}}), "executing /bin/none: No such file or directory");
}

TEST_F(RuntimeCommandTest, AProgramWithoutTheRightModeIsDenied) {
    image_->put("bin/plain", "#!/bin/sh\n", 0644);
    EXPECT_EQ(refused({.argv = {"/bin/plain"}}), failed(Stage::kCommand, EACCES));
    EXPECT_EQ(refused({.argv = {"plain"}}), failed(Stage::kCommand, EACCES)) << "found in PATH, but not executable";
}

TEST_F(RuntimeCommandTest, AMissingWorkingDirectoryIsNamed) {
    EXPECT_EQ(error_of({.argv = {"true"}, .work_dir = "/gone"}),
              "entering the working directory /gone: No such file or directory");
}

TEST_F(RuntimeCommandTest, ARemovedWorkingDirectoryIsRefused) {
    ASSERT_EQ(box().say({"sh", "-c", "mkdir /here && cd /here && rmdir /here"}), "");
    EXPECT_EQ(refused({.argv = {"true"}, .work_dir = "/here"}), failed(Stage::kWorkDir, ENOENT));
}

TEST_F(RuntimeCommandTest, AWorkingDirectoryItsUserMayNotEnterIsRefused) {
    ASSERT_EQ(box().say({"mkdir", "-m", "700", "/private"}), "");
    EXPECT_EQ(refused({.argv = {"true"}, .uid = kBoxUser, .work_dir = "/private"}), failed(Stage::kWorkDir, EACCES));
}

TEST_F(RuntimeCommandTest, OneTooLargeArgumentIsTheKernelsRefusal) {
    EXPECT_EQ(refused({.argv = {"true", std::string(140'000, 'x')}}), failed(Stage::kCommand, E2BIG));
}

TEST_F(RuntimeCommandTest, ThousandsOfArgumentsArrive) {
    std::vector<std::string> argv(kMaxStrings - 4, "x");
    argv[0] = "/probe";
    argv[1] = "arguments";
    const Outcome outcome = box().run({.argv = argv});
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), 'x'), static_cast<long>(argv.size()) - 2);
}

TEST_F(RuntimeCommandTest, AFailedOneDoesNotKeepTheNextFromRunning) {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(refused({.argv = {"/none"}}), failed(Stage::kCommand, ENOENT));
    EXPECT_EQ(box().say({"true"}), "");
}

TEST_F(RuntimeCommandTest, StartsWithSignalsAtTheirDefaultsWhateverTheDaemonIgnores) {
    const auto before = signal(SIGHUP, SIG_IGN);
    const auto before_interrupt = signal(SIGINT, SIG_IGN);
    const Undo restore([&] {
        signal(SIGHUP, before);
        signal(SIGINT, before_interrupt);
    });
    const Image image;
    Box other(image);
    ASSERT_TRUE(other.start().ok());
    const std::string status = other.say({"cat", "/proc/self/status"});
    for (const char* line : {"SigBlk:\t0000000000000000\n", "SigIgn:\t0000000000000000\n"}) {
        EXPECT_NE(status.find(line), std::string::npos) << status;
    }
}

TEST_F(RuntimeCommandTest, LivesInItsOwnGroupBelowTheBoxes) {
    const std::string groups = box().say({"cat", "/proc/self/cgroup"});
    EXPECT_TRUE(groups.ends_with("0::/")) << groups;
    EXPECT_EQ(groups.find("hutch"), std::string::npos) << "the group namespace hides what is above: " << groups;
    const std::string init = box().say({"cat", "/proc/1/cgroup"});
    EXPECT_NE(init.find("0::/../init"), std::string::npos) << init;
}

TEST_F(RuntimeCommandTest, ThousandInARow) {
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(box().run({.argv = {"/probe", "ids"}}).status, 0) << i;
}

// One leaf and one send after the other: 4096 is as many as init keeps track of.
TEST_F(RuntimeCommandTest, ThousandsAtATimeAndOneTooMany) {
    constexpr size_t kMost = 4096;
    cgroups::Leaf leaf = must(box().group().make_leaf("many", box().base()));
    const UniqueFd null = must(open_at(AT_FDCWD, "/dev/null", O_RDWR));
    std::set<uint64_t> started;
    for (size_t i = 0; i <= kMost; ++i) {
        RunSpec spec = box().spec_of({.argv = {"/probe", "pause"}});
        spec.leaf = leaf.fd();
        spec.in = spec.out = spec.err = null.get();
        must(box().link().send(spec));
        const Reply reply = box().next().reply;
        ASSERT_EQ(reply.run_id, spec.id);
        if (i < kMost) {
            ASSERT_EQ(reply.type, MessageType::kStarted) << i << ": " << failure_of(reply).message;
            started.insert(spec.id);
        } else {
            EXPECT_EQ(failure_of(reply).message,
                      "cloning into the run's control group too many commands: Resource temporarily unavailable");
        }
    }
    must(leaf.kill());
    std::set<uint64_t> ended;  // far more ends than the queue holds: init tells the rest as room comes
    while (ended.size() < kMost) {
        const Reply reply = box().next().reply;
        ASSERT_TRUE(reply.type == MessageType::kExited && WTERMSIG(reply.code) == SIGKILL);
        ended.insert(reply.run_id);
    }
    EXPECT_EQ(ended, started);
    for (const uint64_t id : ended) forget(id);
    EXPECT_EQ(box().say({"true"}), "") << "there is room again";
}

// The daemon is killed: what only it held is gone, and the next one asks.
TEST_F(RuntimeCommandTest, OutputAndStatusAreKeptUntilTheyAreForgotten) {
    Running running = box().begin({.argv = {"sh", "-c", "read line; echo $line; exit 7"}, .kept = true});
    running.out.reset();
    EXPECT_EQ(held(), std::set{running.id}) << "while it runs";
    must(write_all(running.in.get(), "hello\n"));
    Message end = box().next();
    ASSERT_EQ(end.reply.type, MessageType::kExited);

    must(box().link().ask_report(9));
    Message kept = box().next();
    ASSERT_EQ(kept.reply.type, MessageType::kHeld);
    EXPECT_EQ(kept.reply.pid, 0) << "its pid may be another's by now";
    char output[64] = {};
    EXPECT_EQ(read(kept.fds[0].get(), output, sizeof(output)), 6);
    EXPECT_STREQ(output, "hello\n");
    const Reply report_end = box().next().reply;
    EXPECT_TRUE(report_end.type == MessageType::kReportEnd && report_end.run_id == 9);
    const Reply again = box().next().reply;
    EXPECT_TRUE(again.type == MessageType::kExited && again.run_id == running.id && WEXITSTATUS(again.code) == 7);

    forget(running.id);
    EXPECT_EQ(held(), std::set<uint64_t>{});
    EXPECT_EQ(read(kept.fds[0].get(), output, sizeof(output)), 0) << "nobody holds the writing end";
}

TEST_F(RuntimeCommandTest, ATerminalIsKeptToo) {
    Running running = box().begin({.argv = {"sh", "-c", "read line; echo got $line"}, .terminal = kTerminal});
    running.in.reset();
    running.out.reset();  // not the last master: no hang-up
    must(box().link().ask_report(9));
    Message kept = box().next();
    ASSERT_EQ(kept.reply.type, MessageType::kHeld);
    EXPECT_NE(kept.reply.pid, 0);
    EXPECT_EQ(box().next().reply.type, MessageType::kReportEnd);
    must(write_all(kept.fds[0].get(), "word\n"));
    running.out = std::move(kept.fds[0]);
    const Outcome outcome = box().finish(running);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_NE(outcome.out.find("got word"), std::string::npos) << outcome.out;
}

TEST_F(RuntimeCommandTest, ASignalReachesItsProcessGroupAndNobodyElse) {
    Running other = box().begin({.argv = {"/probe", "wait"}});
    Running running =
        box().begin({.argv = {"sh", "-c", "trap 'echo caught; exit 3' INT; echo up; while :; do :; done"}});
    char up[16] = {};
    ASSERT_EQ(read(running.out.get(), up, sizeof(up)), 3);
    must(box().link().signal(running.id, SIGINT));
    const Outcome outcome = box().finish(running);
    EXPECT_EQ(outcome.out, "caught\n");
    EXPECT_TRUE(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 3);
    other.in.reset();
    EXPECT_EQ(box().finish(other).status, 0);
}

TEST_F(RuntimeCommandTest, ARunThatIsForgottenWhileItRunsIsReapedInSilence) {
    Running running = box().begin({.argv = {"sh", "-c", "read line"}});
    forget(running.id);
    running.in.reset();
    EXPECT_EQ(box().say({"true"}), "");
    EXPECT_EQ(held(), std::set<uint64_t>{});
}

// A pipe holds 64 KiB: the writer would stand still, or end by SIGPIPE.
TEST_F(RuntimeCommandTest, WhatItLeavesInTheBackgroundMayWriteOnWhenItIsForgotten) {
    ASSERT_EQ(box().say({"busybox", "mkfifo", "/tmp/go", "/tmp/through"}), "");
    const std::string loop = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo 0123456789; done";
    Running running = box().begin(
        {.argv = {"sh", "-c", "(read go < /tmp/go; " + loop + "; echo through > /tmp/through) & :"}, .kept = true});
    ASSERT_EQ(box().next().reply.type, MessageType::kExited);
    running.out.reset();
    forget(running.id);
    EXPECT_EQ(box().say({"sh", "-c", "echo > /tmp/go; cat /tmp/through"}), "through");
}

TEST_F(RuntimeCommandTest, MayOpenAsManyFilesAsAServiceMay) {
    EXPECT_EQ(box().say({"sh", "-c", "ulimit -Sn"}), "1024");
}

TEST_F(RuntimeCommandTest, OrphansAreReaped) {
    ASSERT_EQ(box().run({.argv = {"/probe", "orphans", "1000"}}).status, 0);
    // The last may be dying still; each further command sends init once through its reaping.
    std::string children;
    for (int tries = 0; tries < 200; ++tries) {
        ASSERT_EQ(box().say({"true"}), "");
        const std::string init = std::to_string(box().init());
        children = must(read_file_at(AT_FDCWD, "/proc/" + init + "/task/" + init + "/children"));
        if (children.empty()) return;
    }
    FAIL() << "still children of init: " << children;
}

TEST_F(RuntimeCommandTest, KillingEverythingKillsTheBoxesCommandsOnly) {
    const Image image;
    Box neighbour(image);
    ASSERT_TRUE(neighbour.start().ok());
    Running there = neighbour.begin({.argv = {"/probe", "wait"}});
    Running here = box().begin({.argv = {"/probe", "wait"}});
    EXPECT_EQ(box().run({.argv = {"sh", "-c", "kill -9 -1; kill -9 1; echo alive"}}).out, "alive\n");
    const int status = box().finish(here).status;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    there.in.reset();
    EXPECT_EQ(neighbour.finish(there).status, 0);
    EXPECT_EQ(box().say({"true"}), "") << "init lives";
}

TEST_F(RuntimeCommandTest, ATerminalIsControllingAndOfTheSizeAskedFor) {
    const Outcome outcome = box().run({.argv = {"/probe", "terminal"}, .uid = kBoxUser, .terminal = kTerminal});
    EXPECT_EQ(outcome.out, "tty 1 controlling 1 foreground 1 size 33x101 owner 1000:5 mode 620\r\n");
}

TEST_F(RuntimeCommandTest, WithoutATerminalThereIsNone) {
    EXPECT_EQ(probe({"terminal"}).substr(0, 32), "tty 0 controlling 0 foreground 0");
    EXPECT_EQ(probe({"open-read", "/dev/tty"}), "ENXIO");
}

TEST_F(RuntimeCommandTest, InterruptTypedAtTheTerminalReachesTheCommand) {
    Running running = box().begin({.argv = {"sleep", "1000"}, .terminal = kTerminal});
    must(write_all(running.in.get(), "\x03"));
    const int status = box().finish(running).status;
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST_F(RuntimeCommandTest, ATerminalThatIsClosedHangsUp) {
    Running running = box().begin({.argv = {"sleep", "1000"}, .terminal = kTerminal});
    running.in.reset();
    running.out.reset();
    forget(running.id);  // init lets go of it as well
    EXPECT_TRUE(running.leaf.wait_empty(kLong).ok());
}

}  // namespace
}  // namespace hutch::runtime
