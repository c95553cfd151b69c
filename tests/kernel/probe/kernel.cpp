// Each call is made with arguments that let the kernel itself answer something else than EPERM, where it checks
// anything before the caller's capabilities: so the answer tells the seccomp program from the missing capability.

#include <errno.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sockios.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/reboot.h>

#include "base/syscalls.h"
#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

char* const kNowhere = reinterpret_cast<char*>(8);  // EFAULT for whoever looks
constexpr long kBadFlags = 0x7fffff00;

// The child of a clone that should have been refused ends at once.
long cloned(long pid) {
    if (pid == 0) _exit(0);
    return pid;
}

long clone_with(unsigned long flags) {
    return cloned(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}

long clone3_with(unsigned long flags) {
    clone_args arguments{};
    arguments.flags = flags;
    arguments.exit_signal = SIGCHLD;
    return cloned(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

constexpr timespec kNoTime{};
constexpr int kNoLine = 999;

long poll_with(unsigned count) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;  // or the kernel itself would refuse more than the soft limit
    setrlimit(RLIMIT_NOFILE, &files);
    static pollfd nobody[4096];
    for (pollfd& one : nobody) one.fd = -1;
    return syscall(SYS_ppoll, nobody, count, &kNoTime, nullptr, 0);
}

constexpr unsigned long kAboveInt = 1UL << 32U;  // what the kernel cuts off and a 64-bit comparison does not

constexpr Attempt kAttempts[] = {
    {"mount", [](char**) { return syscall(SYS_mount, kNowhere, "/tmp", "tmpfs", 0, nullptr); }},
    {"mount-tmpfs", [](char**) { return syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr); }},
    {"mount-cgroup2", [](char**) { return syscall(SYS_mount, "none", "/tmp", "cgroup2", 0, nullptr); }},
    {"remount-writable",
     [](char**) { return syscall(SYS_mount, "none", "/proc/sys", "", 0x1020 /* bind */, nullptr); }},
    {"umount2", [](char**) { return syscall(SYS_umount2, "/tmp", kBadFlags); }},
    {"umount-mask", [](char**) { return syscall(SYS_umount2, "/proc/interrupts", MNT_DETACH); }},
    {"pivot_root", [](char**) { return syscall(SYS_pivot_root, ".", "."); }},
    {"fsopen", [](char**) { return syscall(SYS_fsopen, "tmpfs", 0); }},
    {"fsconfig", [](char**) { return syscall(SYS_fsconfig, -1, 0, nullptr, nullptr, 0); }},
    {"fsmount", [](char**) { return syscall(SYS_fsmount, -1, 0, 0); }},
    {"fspick", [](char**) { return syscall(SYS_fspick, -1, "/tmp", 0); }},
    {"open_tree", [](char**) { return syscall(SYS_open_tree, AT_FDCWD, "/", 0); }},
    {"move_mount", [](char**) { return syscall(SYS_move_mount, -1, "", -1, "", 0); }},
    {"mount_setattr", [](char**) { return syscall(SYS_mount_setattr, -1, "", kBadFlags, nullptr, 0); }},
    {"unshare-user", [](char**) { return syscall(SYS_unshare, CLONE_NEWUSER); }},
    {"unshare-mount", [](char**) { return syscall(SYS_unshare, CLONE_NEWNS); }},
    {"unshare-nothing", [](char**) { return syscall(SYS_unshare, 0); }},
    {"setns", [](char**) { return syscall(SYS_setns, -1, 0); }},
    {"setns-own", [](char**) { return syscall(SYS_setns, open("/proc/self/ns/uts", O_RDONLY), 0); }},
    {"clone-user", [](char**) { return clone_with(CLONE_NEWUSER); }},
    {"clone-user-high", [](char**) { return clone_with(kAboveInt | CLONE_NEWUSER); }},
    {"clone-user-and-all",
     [](char**) { return clone_with(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET); }},
    {"clone-mount", [](char**) { return clone_with(CLONE_NEWNS); }},
    {"clone-cgroup", [](char**) { return clone_with(CLONE_NEWCGROUP); }},
    {"clone3-plain", [](char**) { return clone3_with(0); }},
    {"clone3-user", [](char**) { return clone3_with(CLONE_NEWUSER); }},
    {"bpf", [](char**) { return syscall(SYS_bpf, 0, kNowhere, 1 << 20); }},
    {"perf_event_open", [](char**) { return syscall(SYS_perf_event_open, kNowhere, 0, -1, -1, kBadFlags); }},
    {"io_uring_setup", [](char**) { return syscall(SYS_io_uring_setup, 1, kNowhere); }},
    {"io_uring_enter", [](char**) { return syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0); }},
    {"io_uring_register", [](char**) { return syscall(SYS_io_uring_register, -1, 0, nullptr, 0); }},
    {"userfaultfd", [](char**) { return syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY); }},
    {"keyctl", [](char**) { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1); }},
    {"add_key", [](char**) { return syscall(SYS_add_key, "user", "hutch", "x", 1, KEY_SPEC_PROCESS_KEYRING); }},
    {"request_key", [](char**) { return syscall(SYS_request_key, "user", "hutch", nullptr, 0); }},
    {"kcmp", [](char**) { return syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0); }},
    {"open_by_handle_at", [](char**) { return syscall(SYS_open_by_handle_at, -1, kNowhere, 0); }},
    {"fanotify_init", [](char**) { return syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, 0); }},
    {"reboot", [](char**) { return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, RB_DISABLE_CAD, 0); }},
    {"swapon", [](char**) { return syscall(SYS_swapon, kNowhere, kBadFlags); }},
    {"swapoff", [](char**) { return syscall(SYS_swapoff, kNowhere); }},
    {"init_module", [](char**) { return syscall(SYS_init_module, kNowhere, 8, ""); }},
    {"finit_module", [](char**) { return syscall(SYS_finit_module, -1, "", kBadFlags); }},
    {"delete_module", [](char**) { return syscall(SYS_delete_module, kNowhere, 0); }},
    {"kexec_load", [](char**) { return syscall(SYS_kexec_load, 0, 0, nullptr, kBadFlags); }},
    {"settimeofday", [](char**) { return syscall(SYS_settimeofday, kNowhere, nullptr); }},
    {"clock_settime", [](char**) { return syscall(SYS_clock_settime, 1 /* monotonic */, kNowhere); }},
    {"adjtimex", [](char**) { return syscall(SYS_adjtimex, kNowhere); }},
    {"sethostname", [](char**) { return syscall(SYS_sethostname, "other", 5); }},
    {"setdomainname", [](char**) { return syscall(SYS_setdomainname, "other", 5); }},
    {"syslog", [](char**) { return syscall(SYS_syslog, 10 /* size of the buffer */, nullptr, 0); }},
    {"acct", [](char**) { return syscall(SYS_acct, kNowhere); }},
    {"quotactl", [](char**) { return syscall(SYS_quotactl, kBadFlags, nullptr, 0, nullptr); }},
    {"move_pages", [](char**) { return syscall(SYS_move_pages, 0, 0, nullptr, nullptr, nullptr, 0); }},
    {"get_mempolicy", [](char**) { return syscall(SYS_get_mempolicy, nullptr, nullptr, 0, nullptr, 0); }},
    {"set_mempolicy", [](char**) { return syscall(SYS_set_mempolicy, 0, nullptr, 0); }},
    {"mbind", [](char**) { return syscall(SYS_mbind, nullptr, 0, 0, nullptr, 0, 0); }},
    {"process_madvise", [](char**) { return syscall(SYS_process_madvise, -1, kNowhere, 0, 0, 0); }},
    {"pidfd_getfd-own", [](char**) { return syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), 0, 0); }},
    {"io_setup",
     [](char**) {
         unsigned long context = 0;
         return syscall(SYS_io_setup, 1, &context);
     }},
    {"poll-many", [](char**) { return poll_with(2000); }},
    {"poll-usual", [](char**) { return poll_with(1000); }},
    {"select-many", [](char**) { return syscall(SYS_pselect6, 2000, nullptr, nullptr, nullptr, &kNoTime, nullptr); }},
#if defined(__x86_64__)
    {"iopl", [](char**) { return syscall(SYS_iopl, 4); }},
    {"ioperm", [](char**) { return syscall(SYS_ioperm, 1UL << 40U, 1, 1); }},
#endif
    {"unknown-call", [](char**) { return syscall(1000); }},
    {"tiocsti", [](char**) { return syscall(SYS_ioctl, 0, TIOCSTI, "x"); }},
    {"tiocsti-high", [](char**) { return syscall(SYS_ioctl, 0, kAboveInt | TIOCSTI, "x"); }},
    {"tiocsetd", [](char**) { return syscall(SYS_ioctl, 0, kAboveInt | TIOCSETD, &kNoLine); }},
    {"bridges", [](char**) { return syscall(SYS_ioctl, socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFBR, kNowhere); }},
    {"vlans", [](char**) { return syscall(SYS_ioctl, socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFVLAN, kNowhere); }},
    {"tioclinux", [](char**) { return syscall(SYS_ioctl, 0, TIOCLINUX, "\x03"); }},
};

}  // namespace

std::span<const Attempt> kernel_attempts() {
    return kAttempts;
}

}  // namespace hutch::probe
