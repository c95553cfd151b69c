#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <new>
#include <optional>
#include <stdexcept>

#include "base/file.h"
#include "cgroups/hierarchy.h"
#include "cgroups/mounts.h"
#include "cgroups/names.h"
#include "tests/kernel/cgroup_child.h"
#include "tests/kernel/cgroups_fixture.h"

namespace hutch::cgroups {
namespace {

using hutch::testing::CgroupChild;

int sleep_forever() {
    for (;;) pause();
}

uint64_t own_cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void burn_cpu(uint64_t ns) {
    const uint64_t end = own_cpu_ns() + ns;
    while (own_cpu_ns() < end) {
    }
}

/// What a box's first process does: into the v1 groups by its own hand. For use in a child.
bool join_v1(const std::vector<UniqueFd>& tasks) {
    return std::all_of(tasks.begin(), tasks.end(), [](const UniqueFd& fd) { return write(fd.get(), "0", 1) == 1; });
}

class CgroupsTest : public HierarchyTest {
  protected:
    Group make(const std::string& id, const Limits& limits = kLimits) {
        auto group = hierarchy_->create(id, limits, kOwner);
        if (!group.ok()) throw std::runtime_error(group.error().message);
        return std::move(group).value();
    }
    /// The value of the first of these files that a hierarchy has for the group.
    [[nodiscard]] std::string limit_of(const std::string& group, const std::vector<std::string>& files) const {
        for (const Mount& mount : parse_mounts(read_file_at(AT_FDCWD, "/proc/self/mountinfo").value())) {
            for (const std::string& file : files) {
                auto value = read_file_at(AT_FDCWD, mount.path + "/" + parent_ + "/" + group + "/" + file);
                if (value.ok()) return std::move(value).value();
            }
        }
        return "";
    }
};

/// A child that answers each byte with the same byte, so that the test sees whether it runs.
class EchoChild {
  public:
    explicit EchoChild(int group) : ends_(make_ends()), child_(group, [this] { return echo(); }) {
        ends_.second.reset();
    }
    /// True when the child answers; false when it does not within the time a failing test waits.
    [[nodiscard]] bool answers() const {
        char byte = 'x';
        pollfd reply{ends_.first.get(), POLLIN, 0};
        return send(ends_.first.get(), &byte, 1, MSG_NOSIGNAL) == 1 &&
               poll(&reply, 1, static_cast<int>(kLong.count())) == 1 && read(ends_.first.get(), &byte, 1) == 1;
    }
    CgroupChild& child() { return child_; }

  private:
    static std::pair<UniqueFd, UniqueFd> make_ends() {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
        return {UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
    int echo() const {
        char byte = 0;
        while (read(ends_.second.get(), &byte, 1) == 1) {
            if (write(ends_.second.get(), &byte, 1) != 1) break;
        }
        return 0;
    }

    std::pair<UniqueFd, UniqueFd> ends_;
    CgroupChild child_;
};

TEST_F(CgroupsTest, WhatIsLeftOfAHalfRemovedGroupIsRemoved) {
    const Group group = make("half");
    const auto unified = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(group.fd()));
    ASSERT_EQ(rmdir(unified.c_str()), 0);  // a daemon that was killed in the middle of it
    ASSERT_FALSE(hierarchy_->reopen("half").ok());
    EXPECT_TRUE(hierarchy_->remove("half").ok());
    EXPECT_EQ(places("b-half"), 0U);
    EXPECT_TRUE(hierarchy_->remove("half").ok()) << "nothing is fine too";
}

TEST_F(CgroupsTest, DescribeNamesTheKindAndEveryController) {
    const std::string text = hierarchy_->describe();
    EXPECT_TRUE(text.starts_with(hierarchy_->hybrid() ? "hybrid: " : "unified: ")) << text;
    for (const char* controller : {"memory on v", "pids on v", "cpu on v"}) {
        EXPECT_NE(text.find(controller), std::string::npos) << text;
    }
}

TEST_F(CgroupsTest, LimitsAreWritten) {
    make("a", {.memory_bytes = 64 << 20, .cpus = 2, .pids = 5});
    EXPECT_EQ(limit_of("b-a", {kMemoryMax, kV1MemoryLimit}), "67108864\n");
    EXPECT_EQ(limit_of("b-a", {kPidsMax}), "5\n");
    EXPECT_TRUE(limit_of("b-a", {kCpuMax, kV1CpuQuota}).starts_with("200000"));
}

TEST_F(CgroupsTest, SwapIsLimitedWithMemory) {
    make("a");
    const std::string v2 = limit_of("b-a", {kMemorySwapMax});
    const std::string v1 = limit_of("b-a", {kV1MemorySwapLimit});
    if (v1.empty() && v2.empty()) GTEST_SKIP() << "the kernel does not count swap";
    EXPECT_TRUE(v2 == "0\n" || v1 == "67108864\n") << v1 << v2;
}

TEST_F(CgroupsTest, CpuTimeOfALeafIsItsOwnAndTheGroups) {
    Group group = make("a");
    Leaf busy = group.make_leaf("busy", kOwner).value();
    const Leaf idle = group.make_leaf("idle", kOwner).value();
    constexpr uint64_t kBurnt = 50'000'000;
    CgroupChild child(busy.fd(), [] { return burn_cpu(kBurnt), 0; });
    ASSERT_EQ(child.wait(), 0);
    const uint64_t used = busy.cpu_ns().value();
    EXPECT_GE(used, kBurnt);
    EXPECT_GE(group.stats().value().cpu_ns, used);
    EXPECT_EQ(idle.cpu_ns().value(), 0U);
}

TEST_F(CgroupsTest, PidsLimitStopsAForkBomb) {
    constexpr uint32_t kPids = 6;
    Group group = make("a", {.memory_bytes = 64 << 20, .cpus = 1, .pids = kPids});
    const Leaf leaf = group.make_leaf("init", kOwner).value();
    const auto tasks = group.open_v1_tasks().value();
    CgroupChild child(leaf.fd(), [&] {
        if (!join_v1(tasks)) return 100;
        for (int forks = 0; forks < 50; ++forks) {
            const pid_t pid = fork();
            if (pid == 0) return sleep_forever();
            if (pid < 0) return errno == EAGAIN ? forks : 101;
        }
        return 102;
    });
    EXPECT_EQ(child.wait(), kPids - 1) << "as many children as fit beside their parent";
}

TEST_F(CgroupsTest, MemoryLimitKillsAndTheKillIsCounted) {
    constexpr size_t kLimit = 32 << 20;
    Group group = make("a", {.memory_bytes = kLimit, .cpus = 1, .pids = 10});
    const Leaf leaf = group.make_leaf("init", kOwner).value();
    const auto tasks = group.open_v1_tasks().value();
    CgroupChild child(leaf.fd(), [&] {
        if (!join_v1(tasks)) return 100;
        void* memory = mmap(nullptr, 2 * kLimit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return 101;
        memset(memory, 1, 2 * kLimit);
        return 0;
    });
    EXPECT_EQ(child.wait(), -SIGKILL);
    const Stats stats = group.stats().value();
    EXPECT_EQ(stats.oom_kills, 1U);
    EXPECT_GT(stats.memory_peak_bytes, kLimit / 2);
    EXPECT_LE(stats.memory_peak_bytes, kLimit);
    EXPECT_LT(stats.memory_bytes, stats.memory_peak_bytes);
}

// Counted in user mode, since CPU time may still be booked just after the freeze: frozen is reported when the last task
// has entered the kernel to stop there, a moment before it leaves the CPU.
TEST_F(CgroupsTest, FrozenProcessesDoNotRunUntilThawed) {
    Group group = make("a");
    const Leaf leaf = group.make_leaf("run", kOwner).value();
    void* shared = mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto& rounds = *new (shared) std::atomic<uint64_t>(0);
    const CgroupChild counter(leaf.fd(), [&] {
        for (;;) ++rounds;
        return 0;
    });
    const EchoChild echo(group.fd());
    ASSERT_TRUE(echo.answers());
    while (rounds == 0) sched_yield();
    const auto frozen = group.freeze(kLong);
    ASSERT_TRUE(frozen.ok()) << frozen.error().message;
    const uint64_t at_freeze = rounds;
    burn_cpu(20'000'000);
    EXPECT_EQ(rounds, at_freeze);
    ASSERT_TRUE(group.thaw().ok());
    EXPECT_TRUE(echo.answers());
}

/// A child that no freezer can stop: it waits in the kernel for a page that only this object could bring.
class StuckChild {
  public:
    explicit StuckChild(int group) : report_(make_pipe()), child_(group, [this] { return get_stuck(); }) {
        int32_t fd_in_child = -1;
        if (read(report_.first.get(), &fd_in_child, sizeof(fd_in_child)) != sizeof(fd_in_child) || fd_in_child < 0) {
            return;
        }
        faults_ = UniqueFd(sys_pidfd_getfd(child_.pidfd(), fd_in_child));
        pollfd fault{faults_.get(), POLLIN, 0};
        stuck_ =
            faults_.valid() && poll(&fault, 1, static_cast<int>(kLong.count())) == 1 && (fault.revents & POLLIN) != 0;
    }
    [[nodiscard]] bool stuck() const { return stuck_; }

  private:
    static std::pair<UniqueFd, UniqueFd> make_pipe() {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        return {UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
    // (Without O_NONBLOCK a userfaultfd cannot be polled.) read(2) into a page that userfaultfd guards: the fault is
    // the kernel's own, so signals do not end it.
    int get_stuck() const {
        constexpr size_t kPage = 4096;
        const auto fd = static_cast<int32_t>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
        void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uffdio_api api{};
        api.api = UFFD_API;
        uffdio_register guard{};
        guard.range = {reinterpret_cast<uint64_t>(page), kPage};
        guard.mode = UFFDIO_REGISTER_MODE_MISSING;
        const bool ready = fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &guard) == 0;
        const int32_t answer = ready ? fd : -1;
        if (write(report_.second.get(), &answer, sizeof(answer)) != sizeof(answer) || !ready) return 1;
        const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        return read(zero, page, kPage) == kPage ? 0 : 1;
    }

    std::pair<UniqueFd, UniqueFd> report_;
    UniqueFd faults_;
    bool stuck_ = false;
    CgroupChild child_;
};

TEST_F(CgroupsTest, AFreezeThatMissesItsDeadlineThawsAll) {
    Group group = make("a");
    const Leaf leaf = group.make_leaf("run", kOwner).value();
    const EchoChild echo(leaf.fd());
    ASSERT_TRUE(echo.answers());
    const StuckChild stuck(leaf.fd());
    if (!stuck.stuck()) GTEST_SKIP() << "no userfaultfd on this kernel";
    const auto frozen = group.freeze(Millis(50));
    ASSERT_FALSE(frozen.ok());
    EXPECT_EQ(frozen.error().code, ETIMEDOUT) << frozen.error().message;
    EXPECT_TRUE(echo.answers());
}

/// Fills `bytes` of page cache, clean ones, on a file of the disk that is gone at once for others.
int fill_page_cache(size_t bytes) {
    const UniqueFd file(open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    const std::string block(1 << 20, 'x');
    for (size_t done = 0; done < bytes; done += block.size()) {
        if (write(file.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size())) return 1;
    }
    if (fsync(file.get()) != 0) return 2;
    return sleep_forever();
}

TEST_F(CgroupsTest, ReclaimGivesPageCacheBack) {
    constexpr uint64_t kBytes = 32 << 20;
    Group group = make("b1", {.memory_bytes = 256 << 20, .cpus = 2, .pids = 64});
    const auto tasks = group.open_v1_tasks().value();
    CgroupChild child(group.fd(), [&] { return join_v1(tasks) ? fill_page_cache(kBytes) : 3; });
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (group.stats().value().memory_bytes < kBytes && !child.ended()) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        sched_yield();
    }
    ASSERT_FALSE(child.ended());
    uint64_t given = 0;  // in parts: pages that are still being written out stay
    while (given < kBytes * 3 / 4) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline) << given << " bytes given back";
        const auto reclaimed = group.reclaim();
        ASSERT_TRUE(reclaimed.ok()) << reclaimed.error().message;
        given += reclaimed.value();
    }
    EXPECT_LT(group.stats().value().memory_bytes, kBytes / 2);
    EXPECT_FALSE(child.ended());
}

TEST_F(CgroupsTest, KillOfALeafKillsJustThatLeaf) {
    Group group = make("a");
    Leaf cancelled = group.make_leaf("cancelled", kOwner).value();
    Leaf other = group.make_leaf("other", kOwner).value();
    CgroupChild victim(cancelled.fd(), sleep_forever);
    EchoChild neighbour(other.fd());
    EchoChild in_group(group.fd());
    ASSERT_TRUE(cancelled.kill().ok());
    EXPECT_EQ(victim.wait(), -SIGKILL);
    EXPECT_TRUE(neighbour.answers());
    EXPECT_TRUE(in_group.answers());
    EXPECT_TRUE(cancelled.wait_empty(kLong).ok());
    EXPECT_EQ(other.wait_empty(Millis(0)).error().code, ETIMEDOUT);
}

TEST_F(CgroupsTest, ASignalToALeafReachesAllInItAndNobodyElse) {
    Group group = make("a");
    Leaf told = group.make_leaf("told", kOwner).value();
    const Leaf other = group.make_leaf("other", kOwner).value();
    CgroupChild one(told.fd(), sleep_forever);
    CgroupChild two(told.fd(), sleep_forever);
    EchoChild neighbour(other.fd());
    ASSERT_TRUE(told.signal(SIGTERM).ok());
    EXPECT_EQ(one.wait(), -SIGTERM);
    EXPECT_EQ(two.wait(), -SIGTERM);
    EXPECT_TRUE(told.signal(SIGTERM).ok()) << "nobody is in it";
    EXPECT_TRUE(neighbour.answers());
}

TEST_F(CgroupsTest, KillReachesFrozenProcesses) {
    Group group = make("a");
    Leaf leaf = group.make_leaf("run", kOwner).value();
    CgroupChild child(leaf.fd(), sleep_forever);
    ASSERT_TRUE(group.freeze(kLong).ok());
    ASSERT_TRUE(group.kill().ok());
    EXPECT_EQ(child.wait(), -SIGKILL);
}

TEST_F(CgroupsTest, RemovedAtOnceWhenEmptyThoughZombiesRemain) {
    Group group = make("a");
    const Leaf leaf = group.make_leaf("init", kOwner).value();
    const auto tasks = group.open_v1_tasks().value();
    EchoChild child(leaf.fd());
    CgroupChild joined(leaf.fd(), [&] { return join_v1(tasks) ? sleep_forever() : 1; });
    ASSERT_TRUE(child.answers());
    ASSERT_TRUE(group.kill().ok());
    ASSERT_TRUE(group.wait_empty(kLong).ok());
    ASSERT_TRUE(joined.ended());
    const auto removed = group.remove();
    EXPECT_TRUE(removed.ok()) << removed.error().message;
    EXPECT_EQ(places("b-a"), 0U);
}

TEST_F(CgroupsTest, ABusyGroupIsRefusedAndCanBeRemovedLater) {
    Group group = make("a");
    Leaf leaf = group.make_leaf("run", kOwner).value();
    {
        const EchoChild child(leaf.fd());
        EXPECT_EQ(leaf.remove().error().code, EBUSY);
        EXPECT_EQ(group.remove().error().code, EBUSY);
        EXPECT_TRUE(child.answers());
    }
    EXPECT_TRUE(group.remove().ok());
    EXPECT_EQ(places("b-a"), 0U);
    EXPECT_TRUE(group.remove().ok()) << "a missing group is fine";
    EXPECT_TRUE(leaf.remove().ok()) << "a missing leaf is fine";
    EXPECT_TRUE(group.kill().ok() && group.wait_empty(Millis(0)).ok()) << "a removed group holds nothing";
}

TEST_F(CgroupsTest, ARemovedLeafLeavesTheGroupAndItsCpuTime) {
    Group group = make("a");
    Leaf leaf = group.make_leaf("run", kOwner).value();
    CgroupChild child(leaf.fd(), [] { return burn_cpu(10'000'000), 0; });
    ASSERT_EQ(child.wait(), 0);
    ASSERT_TRUE(leaf.remove().ok());
    EXPECT_EQ(access(("/proc/self/fd/" + std::to_string(group.fd()) + "/run").c_str(), F_OK), -1);
    EXPECT_GE(group.stats().value().cpu_ns, 10'000'000U);
}

TEST_F(CgroupsTest, CreateTouchesNoGroupOfTheSameId) {
    Group group = make("a");
    const auto again = hierarchy_->create("a", kLimits, kOwner);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, EEXIST);
    EXPECT_EQ(places("b-a"), places(""));
}

TEST_F(CgroupsTest, AFailedCreateLeavesNothing) {
    const auto group = hierarchy_->create("a", {.memory_bytes = 64 << 20, .cpus = 0, .pids = 5}, kOwner);
    ASSERT_FALSE(group.ok());
    EXPECT_EQ(group.error().code, EINVAL) << group.error().message;
    EXPECT_EQ(places("b-a"), 0U);
}

TEST_F(CgroupsTest, NamesThatCouldLeadElsewhereAreRefused) {
    Group group = make("a");
    for (const char* bad : {"", "..", "a/b", "../x", "cgroup.procs"}) {
        EXPECT_EQ(hierarchy_->create(bad, kLimits, kOwner).error().kind, ErrorKind::kInvalid) << bad;
        EXPECT_EQ(hierarchy_->reopen(bad).error().kind, ErrorKind::kInvalid) << bad;
        EXPECT_EQ(group.make_leaf(bad, kOwner).error().kind, ErrorKind::kInvalid) << bad;
        EXPECT_EQ(group.reopen_leaf(bad).error().kind, ErrorKind::kInvalid) << bad;
    }
}

/// What clone3 into the leaf answers to a process of the group that runs as `uid`: 0 or an errno.
int clone_as(uid_t uid, const Group& group, const Leaf& leaf) {
    CgroupChild child(group.fd(), [&] {
        if (sys_setresgid(uid) != 0 || sys_setresuid(uid) != 0) return 255;
        const pid_t pid = hutch::testing::clone_into(leaf.fd());
        return pid < 0 ? errno : 0;
    });
    return child.wait();
}

TEST_F(CgroupsTest, OnlyTheOwnerClonesIntoALeaf) {
    Group group = make("a");
    const Leaf leaf = group.make_leaf("run", kOwner).value();
    EXPECT_EQ(clone_as(kOwner, group, leaf), 0);
    EXPECT_EQ(clone_as(kOwner + 65536, group, leaf), EACCES);
}

TEST_F(CgroupsTest, AReopenedGroupIsTheSameGroup) {
    Group made = make("a");
    const Leaf leaf = made.make_leaf("run", kOwner).value();
    CgroupChild child(leaf.fd(), sleep_forever);
    Hierarchy restarted = Hierarchy::open(parent_).value();
    const Group group = restarted.reopen("a").value();
    Leaf found = group.reopen_leaf("run").value();
    ASSERT_TRUE(found.kill().ok());
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_EQ(restarted.reopen("missing").error().code, ENOENT);
    EXPECT_EQ(group.reopen_leaf("missing").error().code, ENOENT);
}

TEST_F(CgroupsTest, RecoverRemovesTheUnknownAndKeepsTheKnown) {
    Group known = make("known");
    Group unknown = make("unknown");
    const Leaf leaf = unknown.make_leaf("run", kOwner).value();
    const auto tasks = unknown.open_v1_tasks().value();
    const EchoChild kept(known.fd());
    CgroupChild killed(leaf.fd(), [&] { return join_v1(tasks) ? sleep_forever() : 1; });
    const Recovered recovered = hierarchy_->recover({"known"}, kLong).value();
    EXPECT_EQ(recovered.removed, std::vector<std::string>{"unknown"});
    EXPECT_TRUE(recovered.busy.empty());
    EXPECT_EQ(killed.wait(), -SIGKILL);
    EXPECT_EQ(places("b-unknown"), 0U);
    EXPECT_TRUE(kept.answers());
}

TEST_F(CgroupsTest, RecoverFindsWhatIsLeftOnV1Only) {
    if (!hierarchy_->hybrid()) GTEST_SKIP() << "no v1 hierarchy on this host";
    make("a");
    for (const Mount& mount : parse_mounts(read_file_at(AT_FDCWD, "/proc/self/mountinfo").value())) {
        if (mount.unified) rmdir((mount.path + "/" + parent_ + "/b-a").c_str());
    }
    ASSERT_GT(places("b-a"), 0U);
    EXPECT_EQ(hierarchy_->recover({}, kLong).value().removed, std::vector<std::string>{"a"});
    EXPECT_EQ(places("b-a"), 0U);
}

TEST_F(CgroupsTest, RecoverLeavesAloneWhatIsNotABoxs) {
    const Group anchor = make("a");
    const std::string foreign = "/proc/self/fd/" + std::to_string(anchor.fd()) + "/../foreign";
    ASSERT_EQ(mkdir(foreign.c_str(), 0755), 0);
    EXPECT_EQ(hierarchy_->recover({}, kLong).value().removed, std::vector<std::string>{"a"});
    EXPECT_EQ(places("foreign"), 1U);
    for (const Mount& mount : parse_mounts(read_file_at(AT_FDCWD, "/proc/self/mountinfo").value())) {
        rmdir((mount.path + "/" + parent_ + "/foreign").c_str());
    }
}

// What a host's UDP sockets hold, in bytes.
uint64_t udp_memory() {
    const std::string text = read_file_at(AT_FDCWD, "/proc/net/sockstat").value();
    const size_t line = text.find("UDP: ");
    return std::stoull(text.substr(text.find("mem ", line) + 4)) * 4096;
}

// Fills the buffers of so many sockets as would hold twice kLimits. In a child; true when nothing went wrong.
bool fill_sockets(int told) {
    const char datagram = 'x';
    const UniqueFd sender(socket(AF_INET, SOCK_DGRAM, 0));
    for (int made = 0; made < 640; ++made) {
        sockaddr_in address{};
        socklen_t length = sizeof(address);
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* to = reinterpret_cast<sockaddr*>(&address);
        const int receiver = socket(AF_INET, SOCK_DGRAM, 0);  // open until the end
        if (bind(receiver, to, length) != 0 || getsockname(receiver, to, &length) != 0) return false;
        for (int sent = 0; sent < 300; ++sent) (void)sendto(sender.get(), &datagram, 1, 0, to, length);
    }
    return write(told, "x", 1) == 1;
}

TEST_F(CgroupsTest, WhatSocketsHoldIsLimitedToo) {
    const Group group = make("sockets");
    const std::vector<UniqueFd> tasks = group.open_v1_tasks().value();
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd from(ends[0]);
    UniqueFd to(ends[1]);
    const uint64_t before = udp_memory();
    CgroupChild child(group.fd(), [&] {
        if (!join_v1(tasks) || !fill_sockets(to.get())) return 1;
        return sleep_forever();
    });
    to.reset();
    char byte = 0;
    if (read(from.get(), &byte, 1) != 1) {  // on v2 that is memory like any other, which ends who takes too much of it
        EXPECT_EQ(child.wait(), -SIGKILL) << "it did not fill its sockets";
        return;
    }
    EXPECT_LE(udp_memory(), before + kLimits.memory_bytes);
    EXPECT_GT(udp_memory(), before) << "something was held at all";
}

TEST_F(CgroupsTest, DisksAreSharedByGroupWhereTheyCanBe) {
    const Group group = make("disks");
    for (const Mount& mount : parse_mounts(read_file_at(AT_FDCWD, "/proc/self/mountinfo").value())) {
        if (!mount.unified) continue;
        const std::string available = read_file_at(AT_FDCWD, mount.path + "/" + kControllers).value();
        if (available.find(kIo) == std::string::npos) GTEST_SKIP() << "no io controller on v2 here";
        EXPECT_NE(read_file_at(group.fd(), kControllers).value().find(kIo), std::string::npos);
    }
}

}  // namespace
}  // namespace hutch::cgroups
