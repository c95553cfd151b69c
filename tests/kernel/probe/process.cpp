#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

pid_t pid_of(char** arguments) {
    return atoi(arguments[0]);
}

constexpr long kAboveInt = 1L << 32;  // what the kernel cuts off and a 64-bit comparison does not

long vm_transfer(char** arguments, bool write) {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{reinterpret_cast<void*>(0x400000), 1};  // where static programs are loaded
    return write ? process_vm_writev(pid_of(arguments), &local, 1, &remote, 1, 0)
                 : process_vm_readv(pid_of(arguments), &local, 1, &remote, 1, 0);
}

constexpr Attempt kAttempts[] = {
    // another process: PID
    {"ptrace-attach", [](char** a) { return ptrace(PTRACE_ATTACH, pid_of(a), nullptr, nullptr); }},
    {"ptrace-seize", [](char** a) { return ptrace(PTRACE_SEIZE, pid_of(a), nullptr, nullptr); }},
    {"ptrace-hold",
     [](char** a) -> long {
         if (ptrace(PTRACE_SEIZE, pid_of(a), nullptr, nullptr) != 0) return -1;
         [[maybe_unused]] const ssize_t n = write(1, "held\n", 5);
         for (;;) pause();
     }},
    {"process_vm_readv", [](char** a) { return vm_transfer(a, false); }},
    {"process_vm_writev", [](char** a) { return vm_transfer(a, true); }},
    {"pidfd_getfd", [](char** a) -> long { return sys_pidfd_getfd(sys_pidfd_open(pid_of(a)), 0); }},
    {"kill", [](char** a) -> long { return kill(pid_of(a), SIGKILL); }},
    {"read-limit",
     [](char** a) {
         rlimit limit{};
         return syscall(SYS_prlimit64, pid_of(a), RLIMIT_NOFILE, nullptr, &limit);
     }},
    {"set-limit",
     [](char** a) {
         const rlimit none{0, 0};
         return syscall(SYS_prlimit64, kAboveInt | pid_of(a), RLIMIT_NOFILE, &none, nullptr);
     }},
    {"set-affinity",
     [](char** a) {
         const unsigned long first = 1;
         return syscall(SYS_sched_setaffinity, pid_of(a), sizeof(first), &first);
     }},
    {"set-scheduler",
     [](char** a) {
         const sched_param idle{};
         return syscall(SYS_sched_setscheduler, pid_of(a), SCHED_IDLE, &idle);
     }},
    {"set-priority", [](char** a) { return syscall(SYS_setpriority, PRIO_PROCESS, pid_of(a), 19); }},
    {"set-priority-of-user", [](char**) { return syscall(SYS_setpriority, PRIO_USER, 0, 19); }},
    {"set-io-priority-of-user", [](char**) { return syscall(SYS_ioprio_set, 3 /* of a user */, 0, 3 << 13); }},
    {"set-io-priority", [](char** a) { return syscall(SYS_ioprio_set, 1 /* of a process */, pid_of(a), 3 << 13); }},
    // files: PATH
    {"open-read", [](char** a) -> long { return open(a[0], O_RDONLY | O_NONBLOCK); }},
    {"open-write", [](char** a) -> long { return open(a[0], O_WRONLY | O_NONBLOCK); }},
    {"open-path", [](char** a) -> long { return open(a[0], O_PATH); }},
    {"readlink",
     [](char** a) -> long {
         char target[256];
         return readlink(a[0], target, sizeof(target));
     }},
    {"mknod-char",
     [](char** a) -> long {
         return mknod(a[0], S_IFCHR | 0666,
                      makedev(static_cast<unsigned>(atoi(a[1])), static_cast<unsigned>(atoi(a[2]))));
     }},
    {"mknod-block",
     [](char** a) -> long {
         return mknod(a[0], S_IFBLK | 0666,
                      makedev(static_cast<unsigned>(atoi(a[1])), static_cast<unsigned>(atoi(a[2]))));
     }},
    {"setxattr", [](char** a) -> long { return setxattr(a[0], a[1], "y", 1, 0); }},
    {"chown",
     [](char** a) -> long { return chown(a[0], static_cast<uid_t>(atoi(a[1])), static_cast<gid_t>(atoi(a[1]))); }},
};

}  // namespace

std::span<const Attempt> process_attempts() {
    return kAttempts;
}

}  // namespace hutch::probe
