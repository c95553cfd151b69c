#include "runtime/seccomp.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/unique_fd.h"

namespace hutch::runtime {
namespace {

using Context = std::unique_ptr<void, decltype([](void* context) { seccomp_release(context); })>;

constexpr const char* kAllowed[] = {
    // files
    "access",
    "chdir",
    "chmod",
    "chown",
    "chroot",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fanotify_mark",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "ioctl",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "name_to_handle_at",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "setxattr",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    "cachestat",
    // memory
    "brk",
    "get_mempolicy",
    "madvise",
    "mbind",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_madvise",
    "process_mrelease",
    "remap_file_pages",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "map_shadow_stack",
    "mseal",
    // processes and ids
    "alarm",
    "arch_prctl",
    "capget",
    "capset",
    "clone3",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "pause",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setuid",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "tgkill",
    "times",
    "tkill",
    "uname",
    "vfork",
    "wait4",
    "waitid",
    "getcpu",
    "sysinfo",
    "get_thread_area",
    "set_thread_area",
    "modify_ldt",
    // time, events, synchronisation
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "futex",
    "futex_wait",
    "futex_wake",
    "futex_requeue",
    "futex_waitv",
    "getitimer",
    "gettimeofday",
    "nanosleep",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "setitimer",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "getrandom",
    // pipes, sockets, IPC
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "pipe",
    "pipe2",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_setup",
    "io_submit",
};

// Known and refused: a clear EPERM, where an ENOSYS would send a program looking for a way round.
constexpr const char* kRefused[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "uselib",
    "ustat",
    "vhangup",
    "vserver",
    "_sysctl",
};

Result<void> add(void* context, uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return {};  // this libseccomp or this architecture does not know it: the default answers
    const int failed =
        seccomp_rule_add_array(context, action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
    if (failed != 0) return errno_error("seccomp rule for " + std::string(name), -failed);
    return {};
}

Result<void> add_sockets(void* context) {
    constexpr auto kFamilyEquals = [](int family) { return SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(family)); };
    for (const int family : {AF_UNIX, AF_INET, AF_INET6}) {
        TRY(add(context, SCMP_ACT_ALLOW, "socket", {kFamilyEquals(family)}));
    }
    TRY(add(context, SCMP_ACT_ALLOW, "socket", {kFamilyEquals(AF_NETLINK), SCMP_A2_32(SCMP_CMP_EQ, NETLINK_ROUTE)}));
    // sudo and PAM take this errno as "a kernel without audit" and go on; EPERM would stop them.
    TRY(add(context, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket",
            {kFamilyEquals(AF_NETLINK), SCMP_A2_32(SCMP_CMP_NE, NETLINK_ROUTE)}));
    TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", {SCMP_A0_32(SCMP_CMP_GT, AF_NETLINK)}));
    // A family may have pairs of its own (TIPC has), and looking it up loads its module.
    TRY(add(context, SCMP_ACT_ALLOW, "socketpair", {kFamilyEquals(AF_UNIX)}));
    TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socketpair", {SCMP_A0_32(SCMP_CMP_NE, AF_UNIX)}));
    for (unsigned family = 0; family < AF_NETLINK; ++family) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
        TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", {SCMP_A0_32(SCMP_CMP_EQ, family)}));
    }
    return {};
}

Result<void> add_box_rules(void* context) {
    for (const char* name : kAllowed) TRY(add(context, SCMP_ACT_ALLOW, name, {}));
    for (const char* name : kRefused) TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {}));
    TRY(add_sockets(context));
    constexpr uint64_t kNamespaces =
        CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    TRY(add(context, SCMP_ACT_ALLOW, "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaces, 0)}));
    for (uint64_t flag = 1; flag <= kNamespaces; flag <<= 1U) {
        if ((flag & kNamespaces) == 0) continue;
        TRY(add(context, SCMP_ACT_ERRNO(EPERM), "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)}));
    }
    for (const uint64_t persona : {0x0UL, 0x8UL, 0x20000UL, 0x20008UL, 0x40000UL, 0xffffffffUL}) {
        TRY(add(context, SCMP_ACT_ALLOW, "personality", {SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(persona))}));
    }
    return {};
}

Result<void> add_run_rules(void* context) {
    TRY(add(context, SCMP_ACT_ERRNO(ENOSYS), "clone3", {}));
    // Faked terminal input (CVE-2016-7545 and its kin). The kernel looks at the lower half of the register only, so the
    // rule must too (CVE-2019-10063). Masks can name what is refused but not its complement: hence not in the
    // allow-list.
    for (const uint64_t request : {uint64_t{TIOCSTI}, uint64_t{TIOCLINUX}}) {
        TRY(add(context, SCMP_ACT_ERRNO(EPERM), "ioctl", {SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, request)}));
    }
    return {};
}

Result<Filter> finish(void* context) {
    seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // binary tree instead of one long walk
    const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return errno_error("making a file for the seccomp program");
    const int failed = seccomp_export_bpf(context, file.get());
    if (failed != 0) return errno_error("compiling the seccomp program", -failed);
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return errno_error("reading the seccomp program");
    Filter filter(static_cast<size_t>(status.st_size) / sizeof(sock_filter));
    const size_t bytes = filter.size() * sizeof(sock_filter);
    if (pread(file.get(), filter.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
        return errno_error("reading the seccomp program");
    }
    return filter;
}

}  // namespace

Result<Filters> compile_filters() {
    Filters filters;
    const Context box(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
    TRY(add_box_rules(box.get()));
    filters.box = TRY(finish(box.get()));
    const Context run(seccomp_init(SCMP_ACT_ALLOW));
    TRY(add_run_rules(run.get()));
    filters.run = TRY(finish(run.get()));
    return filters;
}

}  // namespace hutch::runtime
