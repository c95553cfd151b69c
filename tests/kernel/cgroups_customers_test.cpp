#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "base/file.h"
#include "cgroups/hierarchy.h"
#include "cgroups/mounts.h"
#include "tests/kernel/cgroup_child.h"
#include "tests/kernel/cgroups_fixture.h"

namespace hutch::cgroups {
namespace {

using hutch::testing::CgroupChild;

/// Boxes of two customers, in groups that are gone after each test.
class CustomersTest : public HierarchyTest {
  protected:
    Group make(const std::string& customer, const std::string& id, const Sums& sums = {}) {
        const auto ensured = hierarchy_->ensure_customer(customer, sums);
        if (!ensured.ok()) throw std::runtime_error(ensured.error().message);
        auto group = hierarchy_->create(id, kLimits, kOwner, customer);
        if (!group.ok()) throw std::runtime_error(group.error().message);
        return std::move(group).value();
    }
    /// A process of the box, in all of its groups; `body` runs in it.
    template <typename Body>
    CgroupChild run(const Group& group, Body body) {
        const auto tasks = group.open_v1_tasks().value();
        return CgroupChild(group.fd(), [&] {
            for (const UniqueFd& file : tasks) {
                if (write(file.get(), "0", 1) != 1) return 100;
            }
            return body();
        });
    }
};

/// Forks until that is refused: how many there are then, with this one. They stay.
int fork_all() {
    for (int count = 1; count < 60; ++count) {
        const pid_t pid = fork();
        if (pid == 0) {
            for (;;) pause();
        }
        if (pid < 0) return count;
    }
    return 60;
}

/// Takes so much memory, tells of it, and stays.
int take_memory(size_t bytes, int told) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 101;
    memset(memory, 1, bytes);
    if (write(told, "x", 1) != 1) return 102;
    for (;;) pause();
}

std::pair<UniqueFd, UniqueFd> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void burn_cpu(int64_t ns) {
    timespec now{};
    do {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while (now.tv_sec * 1'000'000'000 + now.tv_nsec < ns);
}

TEST_F(CustomersTest, AllBoxesOfOneTogetherHaveSoManyProcesses) {
    constexpr Sums kSums{.memory_bytes = 0, .pids = 12};
    const Group one = make("alice", "a1", kSums);
    const Group two = make("alice", "a2", kSums);
    const Group other = make("bob", "b1", kSums);
    const int in_one = run(one, fork_all).wait();
    EXPECT_EQ(in_one, 12);
    EXPECT_FALSE(run(two, [] { return fork_all() > 1 ? 1 : 0; }).wait() == 1) << "none is left for her second box";
    EXPECT_EQ(run(other, fork_all).wait(), 12) << "another customer has all of its own";
}

TEST_F(CustomersTest, AllBoxesOfOneTogetherHaveSoMuchMemory) {
    constexpr size_t kEach = 40 << 20;
    constexpr Sums kSums{.memory_bytes = 60 << 20, .pids = 0};
    const Group one = make("alice", "a1", kSums);
    const Group two = make("alice", "a2", kSums);
    const Group other = make("bob", "b1", kSums);
    const auto [told, tell] = make_pipe();
    const auto take = [told = tell.get()] { return take_memory(kEach, told); };
    char byte = 0;
    CgroupChild first = run(one, take);
    ASSERT_EQ(read(told.get(), &byte, 1), 1);
    CgroupChild his = run(other, take);
    ASSERT_EQ(read(told.get(), &byte, 1), 1) << "another customer has all of its own";
    CgroupChild second = run(two, take);
    while (!first.ended() && !second.ended()) sched_yield();
    EXPECT_EQ(first.ended() ? first.wait() : second.wait(), -SIGKILL);
    EXPECT_FALSE(his.ended());
}

// On one CPU: who has three boxes gets no more of it than who has one.
TEST_F(CustomersTest, CpuIsSharedByCustomerFirst) {
    constexpr int64_t kBurnt = 300'000'000;
    const auto spin = [](int64_t ns) {
        cpu_set_t first;
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        if (sched_setaffinity(0, sizeof(first), &first) != 0) return 103;
        burn_cpu(ns);
        return 0;
    };
    std::vector<Group> groups;
    std::vector<CgroupChild> busy;
    for (const char* id : {"a1", "a2", "a3"}) {
        groups.push_back(make("alice", id));
        busy.push_back(run(groups.back(), [&] { return spin(INT64_MAX); }));
    }
    const auto used = [&groups] {
        uint64_t sum = 0;
        for (const Group& group : groups) sum += group.cpu_ns().value();
        return sum;
    };
    const Group other = make("bob", "b1");
    const uint64_t before = used();
    ASSERT_EQ(run(other, [&] { return spin(kBurnt); }).wait(), 0);
    EXPECT_LT(used() - before, static_cast<uint64_t>(kBurnt) * 2)
        << "without groups of customers it is three times as much";
}

TEST_F(CustomersTest, BoxesAreFoundAgainAlsoThoseOfADaemonWithoutCustomers) {
    make("alice", "nested");
    ASSERT_TRUE(hierarchy_->create("flat", kLimits, kOwner).ok());
    EXPECT_GT(places("c-alice/b-nested"), 0U);
    EXPECT_GT(places("b-flat"), 0U);
    Hierarchy restarted = Hierarchy::open(parent_).value();
    for (const char* id : {"nested", "flat"}) {
        EXPECT_TRUE(restarted.reopen(id).ok()) << id;
        const Recovered recovered = restarted.recover({"nested", "flat"}, kLong).value();
        EXPECT_TRUE(recovered.removed.empty()) << id;
        EXPECT_TRUE(restarted.remove(id).ok()) << id;
    }
    EXPECT_EQ(places("c-alice/b-nested") + places("b-flat"), 0U);
}

TEST_F(CustomersTest, RecoverRemovesTheUnknownAndThenTheCustomersOfNone) {
    const Group known = make("alice", "known");
    const Group unknown = make("bob", "unknown");
    CgroupChild child = run(unknown, [] {
        for (;;) pause();
        return 0;
    });
    Hierarchy restarted = Hierarchy::open(parent_).value();
    EXPECT_EQ(restarted.recover({"known"}, kLong).value().removed, std::vector<std::string>{"unknown"});
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_EQ(places("c-bob"), 0U);
    EXPECT_GT(places("c-alice"), 0U);
    restarted.remove_empty_customers();
    EXPECT_GT(places("c-alice/b-known"), 0U) << "a customer with a box stays";
}

TEST_F(CustomersTest, NamesThatAreNoneAreRefused) {
    for (const char* bad : {"", "a/b", "..\n", "a b"}) {
        EXPECT_EQ(hierarchy_->ensure_customer(bad, {}).error().kind, ErrorKind::kInvalid) << bad;
    }
    EXPECT_TRUE(hierarchy_->ensure_customer("Alice.B_c-1", {}).ok());
}

}  // namespace
}  // namespace hutch::cgroups
