// What a command must not reach: init, the host's files and knobs, other boxes; and what it must not be able to become.

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "base/undo.h"
#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

class RuntimeWallsTest : public RuntimeTest {
  protected:
    /// The same answer for the box's root and for an ordinary user of it.
    void expect(const std::vector<std::string>& attempt, const std::string& answer) {
        EXPECT_EQ(probe(attempt), answer) << attempt[0] << " " << attempt[1] << " as root";
        EXPECT_EQ(probe(attempt, kBoxUser), answer) << attempt[0] << " " << attempt[1] << " as a user";
    }
    static std::map<std::string, std::string> fields(const std::string& text) {
        std::map<std::string, std::string> fields;
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            const size_t colon = line.find(':');
            if (colon != std::string::npos)
                fields[line.substr(0, colon)] = line.substr(line.find_first_not_of(":\t ", colon));
        }
        return fields;
    }
    std::map<std::string, std::string> status(uid_t uid) {
        return fields(box().say({"cat", "/proc/self/status"}, uid));
    }
    static bool host_has(const std::string& path) { return access(path.c_str(), F_OK) == 0; }
};

// --- handles

TEST_F(RuntimeWallsTest, ACommandHasThreeDescriptors) {
    expect({"numbers", "/proc/self/fd"}, "0 1 2");
}

TEST_F(RuntimeWallsTest, ACommandOnATerminalHasThreeDescriptors) {
    const Outcome outcome = box().run({.argv = {"/probe", "numbers", "/proc/self/fd"}, .terminal = {{24, 80}}});
    EXPECT_EQ(outcome.out, "0 1 2\r\n");
}

TEST_F(RuntimeWallsTest, NoDescriptorOfInitIsAWorkingDirectory) {
    for (const uid_t uid : {0U, kBoxUser}) {
        for (int fd = 0; fd < 64; ++fd) {
            const std::string path = "/proc/self/fd/" + std::to_string(fd);
            const Outcome outcome = box().run({.argv = {"true"}, .uid = uid, .work_dir = path});
            ASSERT_TRUE(outcome.failed) << path;
            EXPECT_EQ(outcome.failed->stage, Stage::kWorkDir) << path;
            EXPECT_EQ(outcome.failed->code, fd < 3 ? ENOTDIR : ENOENT) << path;
        }
    }
}

TEST_F(RuntimeWallsTest, NoPathOfInitIsAWorkingDirectory) {
    for (const char* path : {"/proc/1/cwd", "/proc/1/root", "/proc/1/fd/3"}) {
        const Outcome outcome = box().run({.argv = {"true"}, .uid = kBoxUser, .work_dir = path});
        ASSERT_TRUE(outcome.failed) << path;
        EXPECT_EQ(outcome.failed->code, EACCES) << path;
    }
}

TEST_F(RuntimeWallsTest, ItsOwnRootIsTheBoxes) {
    EXPECT_EQ(box().run({.argv = {"sh", "-c", "pwd"}, .work_dir = "/proc/self/root/../.."}).out, "/\n");
    EXPECT_EQ(probe({"kind", "/../../etc/passwd"}), "ENOENT");
}

// --- init

TEST_F(RuntimeWallsTest, InitIsNotTraced) {
    for (const char* attempt :
         {"ptrace-attach", "ptrace-seize", "process_vm_readv", "process_vm_writev", "pidfd_getfd"}) {
        expect({attempt, "1"}, "EPERM");
    }
}

TEST_F(RuntimeWallsTest, RootTracesAndReadsWhatUsersRunAndUsersDoNot) {
    Running user = box().begin({.argv = {"/probe", "wait"}, .uid = kBoxUser});
    const std::string pid = std::to_string(user.pid);
    for (const char* attempt : {"ptrace-seize", "process_vm_readv"}) {
        EXPECT_EQ(probe({attempt, pid}), "done") << attempt;
        EXPECT_EQ(probe({attempt, pid}, kBoxUser + 1), "EPERM") << attempt;
    }
    EXPECT_EQ(probe({"readlink", "/proc/" + pid + "/exe"}), "done");
    EXPECT_EQ(probe({"readlink", "/proc/" + pid + "/exe"}, kBoxUser + 1), "EACCES");
    user.in.reset();
    box().finish(user);
}

TEST_F(RuntimeWallsTest, InitKeepsItsLimitsAndItsPlaceWithTheScheduler) {
    EXPECT_EQ(probe({"read-limit", "1"}), "done");
    for (const char* attempt : {"set-limit", "set-affinity", "set-scheduler", "set-priority", "set-io-priority"}) {
        expect({attempt, "1"}, "EPERM");
        EXPECT_EQ(probe({attempt, "0"}), "done") << attempt << " of itself";
    }
    for (const char* attempt : {"set-priority-of-user", "set-io-priority-of-user"}) expect({attempt}, "EPERM");
    EXPECT_EQ(box().say({"true"}), "") << "init starts commands still";
}

TEST_F(RuntimeWallsTest, InitIsNotReadThroughProc) {
    for (const char* path : {"/proc/1/exe", "/proc/1/cwd", "/proc/1/root", "/proc/1/ns/mnt", "/proc/1/ns/user"}) {
        expect({"readlink", path}, "EACCES");
    }
    for (const char* path : {"/proc/1/mem", "/proc/1/maps", "/proc/1/environ", "/proc/1/exe", "/proc/1/fd/3"}) {
        expect({"open-read", path}, "EACCES");
    }
}

// Init's child shares its memory until the exec. A long PATH keeps one there for a while.
TEST_F(RuntimeWallsTest, ACommandAboutToBecomeItselfIsNotTraced) {
    Running attacker = box().begin({.argv = {"/probe", "attack-joining"}, .uid = kBoxUser});
    std::string path = "PATH=/nowhere";
    while (path.size() < 100'000) path += ":/nowhere";
    std::string said;
    for (int tries = 0; tries < 100 && said.empty(); ++tries) {
        (void)box().run({.argv = {"none"}, .uid = kBoxUser, .env = {path}});
        pollfd event{attacker.out.get(), POLLIN, 0};
        if (poll(&event, 1, 0) > 0) said = box().finish(attacker).out;
    }
    EXPECT_EQ(said, "EPERM\n");
}

TEST_F(RuntimeWallsTest, NamespacesOfInitCannotBeOpened) {
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
        expect({"open-read", std::string("/proc/1/ns/") + name}, "EACCES");
    }
}

TEST_F(RuntimeWallsTest, AScriptRunByItsOwnInterpreterLeavesInitsImageAsItWas) {
    const std::string exe = "/proc/" + std::to_string(box().init()) + "/exe";
    const std::string before = must(read_file_at(AT_FDCWD, exe, 64 << 20));
    image_->put("loop", "#!/proc/self/exe\n", 0755);
    (void)box().run({.argv = {"/loop"}});
    expect({"open-write", "/proc/1/exe"}, "EACCES");
    EXPECT_EQ(must(read_file_at(AT_FDCWD, exe, 64 << 20)), before);
    EXPECT_EQ(box().say({"true"}), "");
}

TEST_F(RuntimeWallsTest, OnlyItsOwnProcessesAreSeen) {
    const std::string seen = probe({"numbers", "/proc"});
    EXPECT_EQ(std::count(seen.begin(), seen.end(), ' '), 1) << "init and itself: " << seen;
    EXPECT_EQ(seen.substr(0, 2), "1 ");
}

// --- what a command is

uint64_t mask(std::initializer_list<unsigned> capabilities) {
    uint64_t sum = 0;
    for (const unsigned capability : capabilities) sum |= 1ULL << capability;
    return sum;
}
const uint64_t kKept = mask({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID,
                             CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_AUDIT_WRITE,
                             CAP_SETFCAP, CAP_NET_RAW, CAP_NET_ADMIN, CAP_IPC_LOCK, CAP_SYS_NICE});

TEST_F(RuntimeWallsTest, RootHasTheCapabilitiesListedAndNoOthers) {
    auto told = status(0);
    for (const char* set : {"CapPrm", "CapEff", "CapBnd"}) EXPECT_EQ(std::stoull(told[set], nullptr, 16), kKept) << set;
    for (const char* set : {"CapInh", "CapAmb"}) EXPECT_EQ(std::stoull(told[set], nullptr, 16), 0U) << set;
}

TEST_F(RuntimeWallsTest, AUserHasNoCapabilities) {
    auto told = status(kBoxUser);
    for (const char* set : {"CapPrm", "CapEff", "CapInh", "CapAmb"}) {
        EXPECT_EQ(std::stoull(told[set], nullptr, 16), 0U) << set;
    }
    EXPECT_EQ(std::stoull(told["CapBnd"], nullptr, 16), kKept);
}

TEST_F(RuntimeWallsTest, OutsideAUserIsTheBoxesBasePlusItsId) {
    Running running = box().begin({.argv = {"/probe", "wait"}, .uid = kBoxUser});
    const std::string pid = std::to_string(std::stoi(must(read_file_at(running.leaf.fd(), "cgroup.procs"))));
    const std::string id = std::to_string(box().base() + kBoxUser);
    EXPECT_EQ(fields(must(read_file_at(AT_FDCWD, "/proc/" + pid + "/status")))["Uid"],
              id + "\t" + id + "\t" + id + "\t" + id);
    running.in.reset();
    box().finish(running);
}

TEST_F(RuntimeWallsTest, ASetUidProgramGivesTheBoxesRootAtMost) {
    image_->put("bin/set-uid", image_->content("probe"), 04755);
    EXPECT_EQ(box().say({"set-uid", "ids"}, kBoxUser), "uid 1000 0 0 gid 1000 1000 1000 groups 1000");
    Running running = box().begin({.argv = {"set-uid", "wait"}, .uid = kBoxUser});
    const std::string pid = std::to_string(std::stoi(must(read_file_at(running.leaf.fd(), "cgroup.procs"))));
    auto told = fields(must(read_file_at(AT_FDCWD, "/proc/" + pid + "/status")));
    const std::string user = std::to_string(box().base() + kBoxUser);
    const std::string root = std::to_string(box().base());
    EXPECT_EQ(told["Uid"], user + "\t" + root + "\t" + root + "\t" + root);
    EXPECT_EQ(std::stoull(told["CapPrm"], nullptr, 16), kKept);
    running.in.reset();
    box().finish(running);
}

// As `setcap ...=ep` does.
void set_file_capability(const Image& image, const std::string& path, int capability) {
    vfs_cap_data capabilities{};
    capabilities.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    capabilities.data[0].permitted = 1U << capability;
    const UniqueFd program = must(open_at(image.dir(), path, O_RDONLY));
    ASSERT_EQ(fsetxattr(program.get(), "security.capability", &capabilities, XATTR_CAPS_SZ_2, 0), 0);
}

TEST_F(RuntimeWallsTest, ProgramsWhosePackagesGiveThemVoidCapabilitiesStartAndCanNoMore) {
    for (const int capability : {CAP_NET_RAW, CAP_NET_ADMIN, CAP_IPC_LOCK, CAP_SYS_NICE}) {
        const std::string name = "void-" + std::to_string(capability);
        image_->put("bin/" + name, image_->content("probe"), 0755);
        set_file_capability(*image_, "bin/" + name, capability);
        for (const uid_t uid : {0U, kBoxUser}) {
            EXPECT_EQ(box().say({name, "socket", std::to_string(AF_INET), std::to_string(SOCK_RAW), "1"}, uid), "EPERM")
                << name;
        }
    }
}

TEST_F(RuntimeWallsTest, FileCapabilitiesGiveNothingBeyondTheBoundingSet) {
    image_->put("bin/admin", image_->content("probe"), 0755);
    set_file_capability(*image_, "bin/admin", CAP_SYS_ADMIN);
    for (const uid_t uid : {0U, kBoxUser}) {
        EXPECT_EQ(box().say({"admin", "ids"}, uid), "executing admin: Operation not permitted");
    }
}

// Never one of the host's: neither through a program that its core_pattern names (whose one exception is a limit of one
// byte) nor, with fs.suid_dumpable = 2, beside the box's root.
TEST_F(RuntimeWallsTest, ACrashWritesACoreOnlyOnRequestAndIntoTheBox) {
    rlimit before{};
    getrlimit(RLIMIT_CORE, &before);
    const rlimit all{before.rlim_max, before.rlim_max};
    setrlimit(RLIMIT_CORE, &all);
    const Undo restore([&] { setrlimit(RLIMIT_CORE, &before); });
    const Image image;
    Box other(image);  // of a daemon that may dump core
    ASSERT_TRUE(other.start().ok());
    const std::string pattern = must(read_file_at(AT_FDCWD, "/proc/sys/kernel/core_pattern"));
    const std::string set_uid = must(read_file_at(AT_FDCWD, "/proc/sys/fs/suid_dumpable"));
    const bool own = pattern.find_first_of("|@") != 0 && set_uid != "2\n";
    EXPECT_EQ(other.say({"/probe", "core-limit"}), own ? "0 " + std::to_string(before.rlim_max) : "1 1");
}

TEST_F(RuntimeWallsTest, ItMakesNoDevices) {
    expect({"mknod-char", "/tmp/memory", "1", "1"}, "EPERM");
    expect({"mknod-char", "/tmp/null", "1", "3"}, "EPERM");
    expect({"mknod-block", "/tmp/disk", "8", "0"}, "EPERM");
}

TEST_F(RuntimeWallsTest, TrustedAttributesAreNotItsOwn) {
    image_->put("file", "");
    expect({"setxattr", "/file", "trusted.overlay.opaque"}, "EPERM");
}

TEST_F(RuntimeWallsTest, IdsOutsideOfItsRangeDoNotExist) {
    image_->put("file", "");
    EXPECT_EQ(probe({"chown", "/file", "65536"}), "EINVAL");
    EXPECT_EQ(probe({"chown", "/file", "65535"}), "done");
}

// --- knobs of the kernel

TEST_F(RuntimeWallsTest, KernelSettingsCannotBeWritten) {
    // The first belong to the host; the others to namespaces of the box, whose root might write were /proc writable.
    for (const char* path : {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/panic"}) {
        EXPECT_EQ(probe({"open-write", path}), "EACCES") << path;
    }
    for (const char* path : {"/proc/sys/kernel/shmmax", "/proc/sys/fs/mqueue/queues_max"}) {
        if (!host_has(path)) continue;
        EXPECT_EQ(probe({"open-write", path}), "EROFS") << path;
    }
    EXPECT_EQ(probe({"open-write", "/sys/class/net/lo/mtu"}), "EACCES");
}

TEST_F(RuntimeWallsTest, WhatSetsTheKernelIsReadOnly) {
    for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/sys"}) {
        if (host_has(path)) expect({"kind", path}, "read-only full directory");
    }
}

TEST_F(RuntimeWallsTest, DevicesAreTheHarmlessOnesAndTheirDirectoryIsReadOnly) {
    expect({"kind", "/dev"}, "read-only full directory");
    EXPECT_EQ(probe({"kind", "/dev/null"}), "device 1:3");
    for (const char* path : {"/dev/kmsg", "/dev/mem", "/dev/fuse", "/dev/kvm", "/dev/loop-control"}) {
        EXPECT_EQ(probe({"open-read", path}), "ENOENT") << path;
    }
    EXPECT_EQ(probe({"kind", "/dev/net/tun"}), g_nesting == Nesting::kAllowed ? "device 10:200" : "ENOENT");
}

TEST_F(RuntimeWallsTest, NoFileOfTheHostIsNamedByADisk) {
    EXPECT_EQ(box().say({"sh", "-c", "cat /sys/block/loop*/loop/backing_file /sys/block/*/dm/name 2>/dev/null"}), "");
}

class MaskTest : public RuntimeWallsTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(MaskTest, IsHidden) {
    const std::string path = GetParam();
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) GTEST_SKIP() << "this host has no " << path;
    expect({"kind", path}, S_ISDIR(status.st_mode) ? "read-only empty directory" : "device 1:3");
    EXPECT_EQ(box().say({"sh", "-c", "cat " + path + " 2>/dev/null"}), "");
}

INSTANTIATE_TEST_SUITE_P(Of, MaskTest,
                         ::testing::Values("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore",
                                           "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/kpagecount",
                                           "/proc/kpageflags", "/proc/kpagecgroup", "/proc/latency_stats",
                                           "/proc/sched_debug", "/proc/scsi", "/proc/softirqs", "/proc/timer_list",
                                           "/proc/timer_stats", "/proc/sysrq-trigger", "/proc/swaps",
                                           "/sys/devices/virtual/block",
                                           "/sys/devices/system/cpu/cpu0/thermal_throttle", "/sys/firmware",
                                           "/sys/kernel", "/sys/devices/virtual/powercap"),
                         [](const auto& path) {
                             std::string name = path.param;
                             std::replace_if(
                                 name.begin(), name.end(), [](char c) { return isalnum(c) == 0; }, '_');
                             return name.substr(1);
                         });

}  // namespace
}  // namespace hutch::runtime
