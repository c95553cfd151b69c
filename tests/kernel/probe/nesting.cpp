// What programs make of namespaces of their own, where their box is made with nesting.

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

constexpr unsigned long kMountPlain = 0;

long write_text(const char* path, const char* text) {
    const int file = open(path, O_WRONLY);
    if (file < 0) return -1;
    const ssize_t written = write(file, text, strlen(text));
    const int code = errno;
    close(file);
    errno = code;
    return written < 0 ? -1 : 0;
}

/// Root of a box maps all ids, others themselves.
bool map_ids(pid_t child) {
    char path[64];
    char map[64];
    const uid_t user = geteuid();
    snprintf(map, sizeof(map), "0 %u %u", user, user == 0 ? 65536 : 1);
    snprintf(path, sizeof(path), "/proc/%d/setgroups", child);
    if (user != 0 && write_text(path, "deny") != 0) return false;
    snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
    if (write_text(path, map) != 0) return false;
    snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
    return write_text(path, map) == 0;
}

int refused(const char* what) {
    printf("%s: %s\n", what, strerrorname_np(errno));
    fflush(stdout);
    return 1;
}

[[noreturn]] void try_within(int mapped, const char* program, char** arguments) {
    char byte = 0;
    if (read(mapped, &byte, 1) != 1) _exit(1);
    if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) != 0) {
        _exit(refused("unshare"));
    }
    const pid_t first = fork();  // PID 1 of the namespace
    if (first == 0) {
        execv(program, arguments - 1);
        _exit(refused(program));
    }
    int status = 0;
    waitpid(first, &status, 0);
    _exit(WEXITSTATUS(status));
}

// within NAME [ARGUMENT]...: an attempt as root of a user namespace, with one of each other kind.
long within(char** arguments) {
    static char program[256];
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0) return refused("readlink");
    int made[2];
    int mapped[2];
    if (pipe(made) != 0 || pipe(mapped) != 0) return refused("pipe");
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        close(mapped[1]);
        if (unshare(CLONE_NEWUSER) != 0) _exit(refused("unshare"));
        [[maybe_unused]] const ssize_t n = write(made[1], "1", 1);
        try_within(mapped[0], program, arguments);
    }
    close(made[1]);
    char byte = 0;
    if (read(made[0], &byte, 1) == 1 && !map_ids(child)) refused("id map");
    [[maybe_unused]] const ssize_t n = write(mapped[1], "1", 1);
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

long mount_fresh(const char* type, const char* target) {
    return syscall(SYS_mount, "none", target, type, kMountPlain, nullptr);
}

long option(int level, int name, bool get) {
    const int socket = ::socket(level == IPPROTO_IP ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    char value[512] = "filter";
    socklen_t length = 84;  // of struct ipt_getinfo
    return get ? getsockopt(socket, level, name, value, &length) : setsockopt(socket, level, name, value, length);
}

constexpr Attempt kAttempts[] = {
    {"fresh-tmpfs", [](char**) { return mount_fresh("tmpfs", "/tmp"); }},
    {"fresh-proc", [](char**) { return mount_fresh("proc", "/proc"); }},
    {"fresh-sysfs", [](char**) { return mount_fresh("sysfs", "/sys"); }},
    {"fresh-cgroup2", [](char**) { return mount_fresh("cgroup2", "/tmp"); }},
    {"fresh-ext4", [](char**) { return syscall(SYS_mount, "/dev/null", "/tmp", "ext4", kMountPlain, nullptr); }},
    {"fresh-debugfs", [](char**) { return mount_fresh("debugfs", "/tmp"); }},
    // A file of a fresh /proc: PATH
    {"fresh-proc-read",
     [](char** a) -> long { return mount_fresh("proc", "/proc") != 0 ? -1 : open(a[0], O_RDONLY | O_NONBLOCK); }},
    {"fresh-proc-write",
     [](char** a) -> long { return mount_fresh("proc", "/proc") != 0 ? -1 : open(a[0], O_WRONLY | O_NONBLOCK); }},
    {"cgroup-child",
     [](char**) -> long { return mount_fresh("cgroup2", "/tmp") != 0 ? -1 : mkdir("/tmp/child", 0755); }},
    {"cgroup-limit",
     [](char** a) -> long {
         if (mount_fresh("cgroup2", "/tmp") != 0) return -1;
         char path[128];
         snprintf(path, sizeof(path), "/tmp/%s", a[0]);
         return open(path, O_WRONLY);
     }},
    // What hides a path: PATH
    {"uncover", [](char** a) { return syscall(SYS_umount2, a[0], MNT_DETACH); }},
    {"make-writable",
     [](char** a) { return syscall(SYS_mount, "none", a[0], "", 0x1020 /* remount, bind */, nullptr); }},
    {"raw-socket", [](char**) -> long { return socket(AF_INET, SOCK_RAW, IPPROTO_RAW); }},
    {"packet-socket", [](char**) -> long { return socket(AF_PACKET, SOCK_RAW, 0); }},
    {"netfilter-socket", [](char**) -> long { return socket(AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */); }},
    {"xfrm-socket", [](char**) -> long { return socket(AF_NETLINK, SOCK_RAW, 6 /* NETLINK_XFRM */); }},
    {"iptables-read", [](char**) { return option(IPPROTO_IP, 64, true); }},
    {"iptables-write", [](char**) { return option(IPPROTO_IP, 64, false); }},
    {"ip6tables-read", [](char**) { return option(IPPROTO_IPV6, 64, true); }},
    {"ip6tables-write", [](char**) { return option(IPPROTO_IPV6, 64, false); }},
    {"arptables-read", [](char**) { return option(IPPROTO_IP, 96, true); }},
    {"ipsec-write", [](char**) { return option(IPPROTO_IP, 17, false); }},
    {"usual-option",
     [](char**) -> long {
         const int one = 1;
         return setsockopt(socket(AF_INET, SOCK_DGRAM, 0), IPPROTO_IP, 10 /* IP_MTU_DISCOVER */, &one, sizeof(one));
     }},
    {"tunnel",
     [](char**) -> long {
         ifreq request{};
         request.ifr_flags = IFF_TUN | IFF_NO_PI;
         return ioctl(open("/dev/net/tun", O_RDWR), TUNSETIFF, &request);
     }},
    {"hold-tmpfs",
     [](char**) -> long {
         if (mount_fresh("tmpfs", "/bin") != 0 || open("/bin/within", O_CREAT | O_WRONLY, 0644) < 0) return -1;
         [[maybe_unused]] ssize_t n = write(1, "held\n", 5);
         char byte = 0;
         n = read(0, &byte, 1);
         return 0;
     }},
    {"time-namespace", [](char**) { return syscall(SYS_unshare, CLONE_NEWTIME); }},
};

constexpr Attempt kNests[] = {{"within", within}};

}  // namespace

long hold_namespace(long user, unsigned long flag) {
    int answer[2];
    if (pipe(answer) != 0) return -1;
    const pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        const auto id = static_cast<uid_t>(user);
        const bool same = geteuid() != 0 || user == 0;
        const bool made = (same || sys_setresuid(id) == 0) && syscall(SYS_unshare, CLONE_NEWUSER | flag) == 0;
        const int code = made ? 0 : errno;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        [[maybe_unused]] const ssize_t n = write(answer[1], &code, sizeof(code));
        for (;;) pause();
    }
    int code = EPIPE;
    [[maybe_unused]] const ssize_t n = read(answer[0], &code, sizeof(code));
    close(answer[0]);
    close(answer[1]);
    if (code == 0) return child;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    errno = code;
    return -1;
}

std::span<const Attempt> nesting_attempts() {
    return kAttempts;
}

std::span<const Attempt> nests() {
    return kNests;
}

}  // namespace hutch::probe
