// The machine that a box sees is one of its own size, and what it sees of control groups is its own and nobody's to
// write.

#include <unistd.h>

#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

class RuntimeMachineTest : public RuntimeTest {
  protected:
    std::string script(const std::string& text, uid_t uid = 0) { return box().say({"sh", "-c", text}, uid); }
};

TEST_F(RuntimeMachineTest, ItsMemoryIsItsLimit) {
    EXPECT_EQ(script("busybox head -n 3 /proc/meminfo | busybox tr -s ' '"),
              "MemTotal: 4194304 kB\nMemFree: 4194304 kB\nMemAvailable: 4194304 kB");
    EXPECT_EQ(script("cat /sys/fs/cgroup/memory.max"), "4294967296");
    EXPECT_EQ(script("cat /sys/fs/cgroup/memory.max", kBoxUser), "4294967296");
    EXPECT_GT(std::stoull(script("cat /sys/fs/cgroup/memory.current")), 0U);
}

TEST_F(RuntimeMachineTest, ItsCpusAndProcessesAreItsLimits) {
    EXPECT_EQ(script("cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max"), "200000 100000\n8192");
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online < 2) GTEST_SKIP() << "needs two CPUs";
    const Image image;
    Box small(image);
    small.plan.cpus = 1;
    ASSERT_TRUE(small.start().ok());
    EXPECT_EQ(small.say({"cat", "/sys/devices/system/cpu/online"}), "0");
}

// Where JVMs and the like look: what they read of /proc/self/cgroup leads to these files.
TEST_F(RuntimeMachineTest, ACommandIsAtTheRootOfWhatItSees) {
    EXPECT_EQ(script("busybox grep -v ':/$' /proc/self/cgroup"), "");
    const std::string mounts = script("busybox grep ' - cgroup' /proc/self/mountinfo");
    for (const char* controller : {"memory", "cpu", "cpuset", "cpuacct"}) {  // a JVM wants all of them
        EXPECT_TRUE(mounts.find(" - cgroup2 ") != std::string::npos || mounts.find(controller) != std::string::npos)
            << controller << ": " << mounts;
    }
    EXPECT_EQ(script("busybox cut -f 3 /proc/cgroups | busybox sort -u"), "1\nnum_cgroups");
}

TEST_F(RuntimeMachineTest, NoGroupOfTheHostOrOfAnotherBoxIsSeen) {
    const Image image;
    Box other(image);
    ASSERT_TRUE(other.start().ok());
    Running neighbour = other.begin({.argv = {"/probe", "wait"}});
    EXPECT_EQ(script("busybox ls /sys/fs"), "cgroup");
    EXPECT_EQ(script("busybox grep cgroup /proc/self/mountinfo | busybox grep hutch-test"), "");
    const std::string all = script("busybox find /sys/fs/cgroup -type d");
    for (const char* part : {"hutch-test", "c-", "b-"}) EXPECT_EQ(all.find(part), std::string::npos) << all;
    // A process that is not of its namespace would be a 0.
    EXPECT_EQ(script("busybox find /sys/fs/cgroup -name cgroup.procs -exec cat {} + | busybox grep -x 0"), "");
    neighbour.in.reset();
    other.finish(neighbour);
}

TEST_F(RuntimeMachineTest, NothingOfItCanBeWritten) {
    EXPECT_EQ(probe({"kind", "/sys/fs"}), "read-only full directory");
    EXPECT_EQ(probe({"kind", "/sys/fs/cgroup"}), "read-only full directory");
    EXPECT_EQ(script("for file in $(busybox find /sys/fs /proc/meminfo /proc/cgroups -type f); do"
                     " (echo 1 > $file) 2> /dev/null && echo $file; done; busybox mkdir /sys/fs/cgroup/own 2>&1"),
              "mkdir: can't create directory '/sys/fs/cgroup/own': Read-only file system");
    EXPECT_EQ(box().group().stats().ok(), true);
}

TEST_F(RuntimeMachineTest, ItsTemporaryDirectoryIsOfItsDisk) {
    EXPECT_EQ(box().say({"stat", "-c", "%a", "/tmp"}), "1777");
    EXPECT_EQ(box().say({"stat", "-c", "%d", "/tmp"}), box().say({"stat", "-c", "%d", "/"}));
    EXPECT_EQ(box().say({"stat", "-f", "-c", "%b %s", "/dev/shm"}), "4096 4096") << "16 MiB in blocks of 4096 bytes";
}

TEST_F(RuntimeMachineTest, ATemporaryDirectoryThatIsALinkIsLeftAlone) {
    const Image image;
    must(make_dirs_at(image.dir(), "elsewhere"));
    image.link_to("elsewhere", "tmp");
    Box other(image);
    ASSERT_TRUE(other.start().ok());
    EXPECT_EQ(other.say({"stat", "-c", "%a", "/elsewhere"}), "755");
}

// --- the files that tell it who it is

class RuntimeNamesTest : public RuntimeTest {
  protected:
    void live_once(const std::string& change) {
        Box box(disk_);
        ASSERT_TRUE(box.start().ok());
        EXPECT_EQ(box.say({"sh", "-c", change}), "");
    }
    void live_again() {
        Box box(disk_);
        box.plan.address = "198.18.0.77";
        box.plan.nameserver = "198.18.0.76";
        ASSERT_TRUE(box.start().ok());
    }
    Image disk_;
};

TEST_F(RuntimeNamesTest, TellTheAddressesOfEachStart) {
    live_once(":");
    live_again();
    const std::string hosts = disk_.content("etc/hosts");
    EXPECT_NE(hosts.find("198.18.0.77 hutch-test "), std::string::npos) << hosts;
    EXPECT_EQ(hosts.find("198.18.0.2 "), std::string::npos) << hosts;
    EXPECT_NE(hosts.find("::1 localhost "), std::string::npos) << hosts;
    EXPECT_NE(disk_.content("etc/resolv.conf").find("nameserver 198.18.0.76\n"), std::string::npos);
}

TEST_F(RuntimeNamesTest, KeepWhatTheBoxWrote) {
    live_once("echo 10.9.8.7 db.internal >> /etc/hosts; echo nameserver 9.9.9.9 > /etc/resolv.conf");
    live_again();
    const std::string hosts = disk_.content("etc/hosts");
    EXPECT_NE(hosts.find("\n10.9.8.7 db.internal\n"), std::string::npos) << hosts;
    EXPECT_NE(hosts.find("198.18.0.77 hutch-test "), std::string::npos) << hosts;
    EXPECT_EQ(disk_.content("etc/resolv.conf"), "nameserver 9.9.9.9\n");
}

TEST_F(RuntimeNamesTest, TakeTheNameServerOfTheImageForNobodysWord) {
    must(make_dirs_at(disk_.dir(), "etc"));
    disk_.put("etc/hosts", "127.0.0.1 localhost\n10.9.8.7 registry\n");
    disk_.put("etc/resolv.conf", "nameserver 192.0.2.53\n");
    live_again();
    const std::string hosts = disk_.content("etc/hosts");
    EXPECT_NE(hosts.find("10.9.8.7 registry\n"), std::string::npos) << hosts;
    EXPECT_NE(disk_.content("etc/resolv.conf").find("nameserver 198.18.0.76\n"), std::string::npos);
}

// --- what a command finds

class RuntimeEnvironmentTest : public RuntimeTest {
  protected:
    std::string told(const std::string& file, const std::vector<std::string>& env, uint16_t defaults) {
        must(make_dirs_at(image_->dir(), "etc"));
        image_->put("etc/environment", file);
        return box().run({.argv = {"/probe", "environment"}, .env = env, .defaults = defaults}).out;
    }
};

TEST_F(RuntimeEnvironmentTest, TheFileOfTheBoxWinsOverDefaultsOnly) {
    EXPECT_EQ(told("# for all\nA=file\nexport B=\"of file\"\nC='c'\nno line\n1D=x\nE=\n", {"A=default", "C=caller"}, 1),
              "[A=file][C=caller][B=of file][E=]\n");
}

TEST_F(RuntimeEnvironmentTest, OwnProgramsStayInFrontOfItsPath) {
    EXPECT_EQ(told("PATH=/opt/bin:/bin\n", {"PATH=/home/u/.local/bin:/bin"}, 1),
              "[PATH=/home/u/.local/bin:/opt/bin:/bin]\n");
}

TEST_F(RuntimeEnvironmentTest, AFileThatIsNoneIsNotWaitedFor) {
    EXPECT_EQ(box().say({"sh", "-c", "busybox rm -f /etc/environment; busybox mkfifo /etc/environment"}), "");
    EXPECT_EQ(box().run({.argv = {"/probe", "environment"}, .env = {"A=b"}}).out, "[A=b]\n");
}

TEST_F(RuntimeEnvironmentTest, ATerminalThatTheBoxDoesNotKnowIsAUsualOne) {
    const auto term = [this](const std::string& name) {
        return box()
            .run({.argv = {"sh", "-c", "echo $TERM"}, .env = {"PATH=/bin", "TERM=" + name}, .terminal = {{24, 80}}})
            .out;
    };
    EXPECT_EQ(term("xterm-kitty"), "xterm-kitty\r\n") << "a box that knows none";
    must(make_dirs_at(image_->dir(), "usr/share/terminfo/x"));
    image_->put("usr/share/terminfo/x/xterm-256color", "");
    image_->put("usr/share/terminfo/x/xterm", "");
    EXPECT_EQ(term("xterm-kitty"), "xterm-256color\r\n");
    EXPECT_EQ(term("x/../../x/xterm"), "xterm-256color\r\n");
    EXPECT_EQ(term("xterm"), "xterm\r\n");
}

TEST_F(RuntimeEnvironmentTest, WithoutItsUsualDirectoryACommandRunsInTheRootAndIsTold) {
    const Outcome outcome = box().run({.argv = {"sh", "-c", "pwd"}, .work_dir = "/gone", .fall_back = true});
    EXPECT_EQ(outcome.out, "hutch: the work directory /gone is missing; the command runs in /\n/\n");
    EXPECT_TRUE(box().run({.argv = {"true"}, .work_dir = "/gone"}).failed);
}

}  // namespace
}  // namespace hutch::runtime
