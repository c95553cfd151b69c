// What a box with nesting may make of namespaces of its own, and what root of one may still not. Each attempt is made
// within a user namespace that a user of the box has made, and within one of its root's, which has all of the box's
// ids.

#include <algorithm>

#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

class NestingTest : public RuntimeTest {
  protected:
    void SetUp() override {
        if (g_nesting == Nesting::kRefused) GTEST_SKIP() << "of boxes with nesting";
        RuntimeTest::SetUp();
    }
    std::string within(std::vector<std::string> attempt, uid_t uid) {
        attempt.insert(attempt.begin(), "within");
        return probe(std::move(attempt), uid);
    }
    void expect(const std::vector<std::string>& attempt, const std::string& answer) {
        EXPECT_EQ(within(attempt, kBoxUser), answer) << attempt[0] << " within a user's";
        EXPECT_EQ(within(attempt, 0), answer) << attempt[0] << " within root's";
    }
    /// The same; a file that this kernel does not have is as good as refused.
    void expect_refused(const std::vector<std::string>& attempt) {
        for (const uid_t uid : {kBoxUser, 0U}) {
            const std::string answer = within(attempt, uid);
            EXPECT_TRUE(answer == "EACCES" || answer == "EPERM" || answer == "ENOENT")
                << attempt[0] << " " << attempt.back() << " within that of " << uid << ": " << answer;
        }
    }
};

TEST_F(NestingTest, RootWithinMountsAndNamesAndTunnels) {
    for (const char* attempt : {"fresh-tmpfs", "fresh-proc", "usual-option", "tunnel", "sethostname"}) {
        expect({attempt}, "done");
    }
    EXPECT_EQ(box().say({"cat", "/proc/sys/kernel/hostname"}), "hutch-test");
}

TEST_F(NestingTest, TheBoxesOwnRootMountsNothing) {
    for (const char* attempt : {"fresh-tmpfs", "fresh-proc", "fresh-sysfs", "fresh-cgroup2", "tunnel"}) {
        EXPECT_EQ(probe({attempt}), "EPERM") << attempt;
    }
}

TEST_F(NestingTest, RootWithinUncoversNothing) {
    for (const char* path : {"/proc/interrupts", "/proc/sys", "/proc", "/sys/firmware", "/dev"}) {
        if (access(path, F_OK) == 0) expect({"uncover", path}, "EINVAL");
    }
    for (const char* path : {"/proc/sys", "/sys", "/dev"}) expect({"make-writable", path}, "EPERM");
    expect({"kind", "/proc/interrupts"}, "device 1:3");
}

TEST_F(NestingTest, AFreshProcHasNoSecretsAndNoKnobsOfTheHost) {
    for (const char* path : {"/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/proc/timer_list"}) {
        expect_refused({"fresh-proc-read", path});
    }
    for (const char* path : {"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
                             "/proc/sys/kernel/modprobe", "/proc/sys/fs/mount-max", "/proc/sys/net/core/rmem_max"}) {
        expect_refused({"fresh-proc-write", path});
    }
}

TEST_F(NestingTest, OtherFileSystemsAreNotMountedWithin) {
    expect({"fresh-sysfs"}, "EPERM");
    expect_refused({"fresh-debugfs"});
}

TEST_F(NestingTest, ItsControlGroupIsNotItsOwnWithin) {
    expect_refused({"cgroup-child"});
    for (const char* file : {"cgroup.freeze", "cgroup.max.descendants", "cgroup.subtree_control"}) {
        expect_refused({"cgroup-limit", file});
    }
}

TEST_F(NestingTest, RootWithinHasNoFirewallsAndNoRawSockets) {
    expect({"raw-socket"}, "EPERM");
    expect({"packet-socket"}, "EAFNOSUPPORT");
    for (const char* attempt : {"netfilter-socket", "xfrm-socket"}) expect({attempt}, "EPROTONOSUPPORT");
    for (const char* attempt :
         {"iptables-read", "iptables-write", "ip6tables-read", "ip6tables-write", "arptables-read", "ipsec-write"}) {
        expect({attempt}, "ENOPROTOOPT");
    }
}

TEST_F(NestingTest, WhatEveryBoxIsRefusedIsRefusedWithin) {
    for (const char* attempt : {"bpf", "perf_event_open", "io_uring_setup", "userfaultfd", "kcmp", "open_by_handle_at",
                                "pidfd_getfd-own", "init_module", "kexec_load", "settimeofday", "swapon", "syslog",
                                "reboot", "time-namespace", "tiocsti", "bridges"}) {
        expect({attempt}, "EPERM");
    }
    for (const char* attempt : {"keyctl", "add_key", "request_key", "clone3-user", "io_setup"}) {
        expect({attempt}, "ENOSYS");
    }
    expect({"mknod-char", "/tmp/memory", "1", "1"}, "EPERM");
    expect({"mknod-block", "/tmp/disk", "8", "0"}, "EPERM");
}

TEST_F(NestingTest, InitIsNotReachedFromWithin) {
    for (const char* path : {"/proc/1/mem", "/proc/1/ns/mnt", "/proc/1/ns/user", "/proc/1/fd/3"}) {
        expect({"open-read", path}, "EACCES");
    }
}

TEST_F(NestingTest, WhatIsMountedWithinIsNotSeenByTheBox) {
    Running sandbox = box().begin({.argv = {"/probe", "within", "hold-tmpfs"}, .uid = kBoxUser});
    char line[16] = {};
    ASSERT_GT(read(sandbox.out.get(), line, sizeof(line)), 0);
    EXPECT_STREQ(line, "held\n");
    EXPECT_EQ(box().say({"sh", "-c", "cat /bin/within 2>&1"}),
              "cat: can't open '/bin/within': No such file or directory");
    sandbox.in.reset();
    box().finish(sandbox);
}

TEST_F(NestingTest, ManyUsersHaveNoMoreNamespacesThanOne) {
    Running taker = box().begin({.argv = {"/probe", "take", "network-namespace"}});
    std::string line(64, '\0');
    line.resize(static_cast<size_t>(std::max<ssize_t>(read(taker.out.get(), line.data(), line.size()), 0)));
    EXPECT_EQ(line, "took 256 ENOSPC\n");
    taker.in.reset();
    box().finish(taker);
}

}  // namespace
}  // namespace hutch::runtime
