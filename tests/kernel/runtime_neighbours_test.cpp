// One box at its limit of a kind of kernel object: a neighbour and the host's root still get theirs. SECURITY.md lists
// the kinds, and what limits those that are not here.

#include <spawn.h>

#include <algorithm>

#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

struct Kind {
    const char* name;     ///< of the probe's
    const char* refusal;  ///< what the kernel answers to who has all that is its share
};

/// What the probe says on the host, as its root.
std::string say_on_host(std::string kind) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("making a pipe");
    const UniqueFd from(ends[0]);
    UniqueFd to(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to.get(), 1);
    std::string program = HUTCH_TEST_PROBE;
    std::string word = "take-one";
    char* const argv[] = {program.data(), word.data(), kind.data(), nullptr};
    pid_t pid = 0;
    const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::runtime_error("starting the probe");
    to.reset();
    std::string said;
    char buffer[256];
    for (ssize_t n = 0; (n = read(from.get(), buffer, sizeof(buffer))) > 0;)
        said.append(buffer, static_cast<size_t>(n));
    waitpid(pid, nullptr, 0);
    return said;
}

class NeighboursTest : public RuntimeTest, public ::testing::WithParamInterface<Kind> {
  protected:
    static std::string first_line(const Running& running) {
        std::string line;
        char byte = 0;
        while (!line.ends_with('\n') && read(running.out.get(), &byte, 1) == 1) line += byte;
        return line;
    }
    void get_theirs_beside_one_at_its_limit();
};

void NeighboursTest::get_theirs_beside_one_at_its_limit() {
    const Kind& kind = GetParam();
    const Image image;
    Box neighbour(image);
    ASSERT_TRUE(neighbour.start().ok());

    Running taker = box().begin({.argv = {"/probe", "take", kind.name}});
    ASSERT_FALSE(taker.failed);
    const std::string taken = first_line(taker);
    EXPECT_TRUE(taken.starts_with("took ") && taken.ends_with(std::string(" ") + kind.refusal + "\n")) << taken;
    EXPECT_NE(taken.substr(0, 7), "took 0 ");
    EXPECT_EQ(box().say({"/probe", "take-one", kind.name}), kind.refusal) << "it has all that is its share";

    EXPECT_EQ(neighbour.say({"/probe", "take-one", kind.name}), "done");
    EXPECT_EQ(say_on_host(kind.name), "done\n");
    taker.in.reset();
    box().finish(taker);
}

std::string name_of_kind(const ::testing::TestParamInfo<Kind>& kind) {
    std::string name = kind.param.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

TEST_P(NeighboursTest, GetTheirsBesideOneAtItsLimit) {
    get_theirs_beside_one_at_its_limit();
}

INSTANTIATE_TEST_SUITE_P(Of, NeighboursTest,
                         ::testing::Values(Kind{"inotify-instance", "EMFILE"}, Kind{"inotify-watch", "ENOSPC"},
                                           Kind{"pending-signal", "EAGAIN"}, Kind{"posix-timer", "EAGAIN"},
                                           Kind{"message-queue", "EMFILE"}, Kind{"locked-segment", "ENOMEM"},
                                           Kind{"terminal", "ENOSPC"}, Kind{"pipe-pages", "EPERM"},
                                           Kind{"semaphore-set", "ENOSPC"}),
                         name_of_kind);

class NestingNeighboursTest : public NeighboursTest {
  protected:
    void SetUp() override {
        if (g_nesting == Nesting::kRefused) GTEST_SKIP() << "of boxes with nesting";
        NeighboursTest::SetUp();
    }
};

TEST_P(NestingNeighboursTest, GetTheirsBesideOneAtItsLimit) {
    get_theirs_beside_one_at_its_limit();
}

INSTANTIATE_TEST_SUITE_P(Of, NestingNeighboursTest,
                         ::testing::Values(Kind{"user-namespace", "ENOSPC"}, Kind{"mount-namespace", "ENOSPC"},
                                           Kind{"network-namespace", "ENOSPC"}, Kind{"process-namespace", "ENOSPC"}),
                         name_of_kind);

TEST_F(RuntimeTest, ItHasItsShareOfTerminals) {
    Running taker = box().begin({.argv = {"/probe", "take", "terminal"}});
    std::string line(64, '\0');
    line.resize(static_cast<size_t>(std::max<ssize_t>(read(taker.out.get(), line.data(), line.size()), 0)));
    EXPECT_EQ(line, "took " + std::to_string(kTerminalsPerBox) + " ENOSPC\n");
    taker.in.reset();
    box().finish(taker);
}

}  // namespace
}  // namespace hutch::runtime
