// Calls of the kernel that a box must not have, each as the box's root and as an ordinary user of it.

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <netinet/in.h>

#include "tests/kernel/runtime_box.h"

namespace hutch::runtime {
namespace {

using Words = std::vector<std::string>;

struct Refusal {
    const char* name;  ///< of the attempt, in the probe
    const char* answer = "EPERM";
    const char* nesting = nullptr;  ///< in a box with nesting, where that is another
};

// Some kernels (hypervisors' among them) have no door for 32-bit calls: knocking is a fault there, box or not.
bool kernel_lacks(const std::string& name) {
    if (!name.starts_with("i386-")) return false;
    std::string program = HUTCH_TEST_PROBE;
    std::string attempt = "i386-getpid";
    char* const argv[] = {program.data(), attempt.data(), nullptr};
    pid_t pid = 0;
    int status = 0;
    if (posix_spawn(&pid, program.c_str(), nullptr, nullptr, argv, environ) != 0) return false;
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

class RuntimeSurfaceTest : public RuntimeTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(RuntimeSurfaceTest, Refused) {
    const auto& [name, plain, nesting] = GetParam();
    const char* const answer = g_nesting == Nesting::kAllowed && nesting != nullptr ? nesting : plain;
    if (kernel_lacks(name)) GTEST_SKIP() << "this kernel has no i386 calls";
    EXPECT_EQ(probe({name}), answer) << "as root";
    EXPECT_EQ(probe({name}, kBoxUser), answer) << "as a user";
}

std::string test_name(const ::testing::TestParamInfo<Refusal>& info) {
    std::string name = info.param.name;
    for (char& character : name) {
        if (isalnum(character) == 0) character = '_';
    }
    return name;
}

INSTANTIATE_TEST_SUITE_P(Mounts, RuntimeSurfaceTest,
                         ::testing::Values(Refusal{"mount", "EPERM", "EFAULT"}, Refusal{"mount-tmpfs"},
                                           Refusal{"mount-cgroup2"}, Refusal{"remount-writable"},
                                           Refusal{"umount2", "EPERM", "EINVAL"}, Refusal{"umount-mask"},
                                           Refusal{"pivot_root"}, Refusal{"fsopen"},
                                           Refusal{"fsconfig", "EPERM", "EINVAL"}, Refusal{"fsmount"},
                                           Refusal{"fspick"}, Refusal{"open_tree", "EPERM", "done"},
                                           Refusal{"move_mount"}, Refusal{"mount_setattr", "EPERM", "EINVAL"},
                                           Refusal{"open_by_handle_at"}, Refusal{"fanotify_init"}, Refusal{"quotactl"}),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Namespaces, RuntimeSurfaceTest,
                         ::testing::Values(Refusal{"unshare-user", "EPERM", "done"}, Refusal{"unshare-mount"},
                                           Refusal{"unshare-nothing", "EPERM", "done"},
                                           Refusal{"setns", "EPERM", "EBADF"}, Refusal{"setns-own"},
                                           Refusal{"clone-user", "EPERM", "done"},
                                           Refusal{"clone-user-high", "EPERM", "done"},
                                           Refusal{"clone-user-and-all", "EPERM", "done"}, Refusal{"clone-mount"},
                                           Refusal{"clone-cgroup"}, Refusal{"clone3-plain", "ENOSYS"},
                                           Refusal{"clone3-user", "ENOSYS"}),
                         test_name);
INSTANTIATE_TEST_SUITE_P(
    Kernel, RuntimeSurfaceTest,
    ::testing::Values(Refusal{"bpf"}, Refusal{"perf_event_open"}, Refusal{"io_uring_setup"}, Refusal{"io_uring_enter"},
                      Refusal{"io_uring_register"}, Refusal{"userfaultfd"}, Refusal{"keyctl", "EPERM", "ENOSYS"},
                      Refusal{"add_key", "EPERM", "ENOSYS"}, Refusal{"request_key", "EPERM", "ENOSYS"}, Refusal{"kcmp"},
                      Refusal{"move_pages"}, Refusal{"get_mempolicy"}, Refusal{"set_mempolicy"}, Refusal{"mbind"},
                      Refusal{"process_madvise"}, Refusal{"pidfd_getfd-own"}, Refusal{"io_setup", "ENOSYS"},
                      Refusal{"poll-many", "EINVAL"}, Refusal{"poll-usual", "done"}, Refusal{"select-many", "EINVAL"},
                      Refusal{"syslog"}, Refusal{"acct"}, Refusal{"unknown-call", "ENOSYS"}),
    test_name);
INSTANTIATE_TEST_SUITE_P(Machine, RuntimeSurfaceTest,
                         ::testing::Values(Refusal{"reboot"}, Refusal{"swapon"}, Refusal{"swapoff"},
                                           Refusal{"init_module"}, Refusal{"finit_module"}, Refusal{"delete_module"},
                                           Refusal{"kexec_load"}, Refusal{"settimeofday"}, Refusal{"clock_settime"},
                                           Refusal{"adjtimex"}, Refusal{"sethostname"}, Refusal{"setdomainname"}),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Modules, RuntimeSurfaceTest, ::testing::Values(Refusal{"bridges"}, Refusal{"vlans"}),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Terminals, RuntimeSurfaceTest,
                         ::testing::Values(Refusal{"tiocsti"}, Refusal{"tiocsti-high"}, Refusal{"tioclinux"},
                                           Refusal{"tiocsetd"}),
                         test_name);
#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(Ports, RuntimeSurfaceTest, ::testing::Values(Refusal{"iopl"}, Refusal{"ioperm"}), test_name);
INSTANTIATE_TEST_SUITE_P(ForeignAbis, RuntimeSurfaceTest,
                         ::testing::Values(Refusal{"i386-getpid", "ENOSYS"}, Refusal{"i386-socket-alg", "ENOSYS"},
                                           Refusal{"i386-socket-inet", "ENOSYS"},
                                           Refusal{"i386-unshare-user", "ENOSYS"}, Refusal{"x32-getpid", "ENOSYS"},
                                           Refusal{"x32-socket-alg", "ENOSYS"}, Refusal{"x32-unshare-user", "ENOSYS"}),
                         test_name);
#endif

struct Family {
    const char* name;
    uint64_t family;
    int type;
    int64_t protocol;
    const char* answer;
};

class RuntimeSocketTest : public RuntimeTest, public ::testing::WithParamInterface<Family> {};

TEST_P(RuntimeSocketTest, AsAKernelWithoutItAnswers) {
    const Family& socket = GetParam();
    const Words attempt = {"socket", std::to_string(socket.family), std::to_string(socket.type),
                           std::to_string(socket.protocol)};
    EXPECT_EQ(probe(attempt), socket.answer) << "as root";
    EXPECT_EQ(probe(attempt, kBoxUser), socket.answer) << "as a user";
}

constexpr uint64_t kAboveInt = 1ULL << 32U;  // the kernel looks at the lower half of the register only
constexpr int kNoType = 99;                  // of a family that is not looked up at all nobody sees it

INSTANTIATE_TEST_SUITE_P(
    Of, RuntimeSocketTest,
    ::testing::Values(Family{"inet", AF_INET, SOCK_STREAM, 0, "done"}, Family{"inet6", AF_INET6, SOCK_DGRAM, 0, "done"},
                      Family{"unix", AF_UNIX, SOCK_STREAM, 0, "done"},
                      Family{"route", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "done"},
                      Family{"audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT, "EPROTONOSUPPORT"},
                      Family{"netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, "EPROTONOSUPPORT"},
                      Family{"uevent", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, "EPROTONOSUPPORT"},
                      Family{"alg", AF_ALG, SOCK_SEQPACKET, 0, "EAFNOSUPPORT"},
                      Family{"alg_high", kAboveInt | AF_ALG, SOCK_SEQPACKET, 0, "EAFNOSUPPORT"},
                      Family{"vsock", AF_VSOCK, SOCK_STREAM, 0, "EAFNOSUPPORT"},
                      Family{"packet", AF_PACKET, SOCK_RAW, 0, "EAFNOSUPPORT"},
                      Family{"packet_high", kAboveInt | AF_PACKET, SOCK_RAW, 0, "EAFNOSUPPORT"},
                      Family{"key", AF_KEY, SOCK_RAW, 2, "EAFNOSUPPORT"},
                      Family{"rxrpc", AF_RXRPC, SOCK_DGRAM, AF_INET, "EAFNOSUPPORT"},
                      Family{"tcp", AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP, "done"},
                      Family{"udp", AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP, "done"},
                      Family{"sctp", AF_INET, SOCK_STREAM, 132, "EPROTONOSUPPORT"},
                      Family{"sctp_high", AF_INET, SOCK_STREAM, (1LL << 32) | 132, "EPROTONOSUPPORT"},
                      Family{"sctp_unsaid", AF_INET6, SOCK_SEQPACKET, 0, "ENOSYS"},
                      Family{"dccp", AF_INET, 6, 33, "EPROTONOSUPPORT"}, Family{"dccp_unsaid", AF_INET, 6, 0, "ENOSYS"},
                      Family{"udplite", AF_INET, SOCK_DGRAM, 136, "EPROTONOSUPPORT"},
                      Family{"mptcp", AF_INET6, SOCK_STREAM, 262, "EPROTONOSUPPORT"},
                      Family{"smc", AF_INET, SOCK_STREAM, 256, "EPROTONOSUPPORT"},
                      Family{"unspecified", AF_UNSPEC, kNoType, 0, "EAFNOSUPPORT"},
                      Family{"raw_inet", AF_INET, SOCK_RAW, 255, "EPERM"}),
    [](const auto& socket) { return std::string(socket.param.name); });

TEST_F(RuntimeTest, SocketPairsAreOfTheUnixFamilyOnly) {
    EXPECT_EQ(probe({"socketpair", std::to_string(AF_UNIX)}), "done");
    EXPECT_EQ(probe({"socketpair", std::to_string(AF_INET)}), "EAFNOSUPPORT");
    EXPECT_EQ(probe({"socketpair", std::to_string(AF_TIPC)}), "EAFNOSUPPORT");
}

TEST_F(RuntimeTest, TheHostsNameIsItsOwn) {
    char before[65];
    gethostname(before, sizeof(before));
    EXPECT_EQ(box().say({"cat", "/proc/sys/kernel/hostname"}), "hutch-test");
    EXPECT_STRNE(before, "hutch-test");
}

}  // namespace
}  // namespace hutch::runtime
