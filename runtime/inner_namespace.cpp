#include "runtime/inner_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/syscalls.h"
#include "runtime/child_code.h"
#include "runtime/nesting.h"

// Who writes the id map of a namespace must be in the one above (proc_uid_map_write() in kernel/user_namespace.c),
// which no thread of ours can join. So two children do it, which share our memory and descriptors, and make system
// calls only:
//
//   worker thread            writer                               maker
//     clone(VM, VFORK)  -->    setns outer, still the host's uid 0
//                              its limits
//                              clone(VM)                     -->    become root of outer
//                                                                   unshare its user namespace, open it
//                              id maps of the maker          <--    "1" > pipe
//                              kill, wait
//     takes the fd      <--    _exit

namespace hutch::runtime {
namespace {

struct Errand {
    int outer = -1;
    int said = -1, heard = -1;  ///< ends of a pipe
    const char* map = nullptr;
    char* maker_stack_end = nullptr;
    volatile int inner = -1;
    const char* volatile failed_step = nullptr;
    volatile int failed_code = 0;
};

[[noreturn]] HUTCH_CHILD_CODE void leave() {
    for (;;) syscall(SYS_exit, 0);
}

HUTCH_CHILD_CODE void fail(Errand& errand, const char* step) {
    errand.failed_code = errno;
    errand.failed_step = step;
}

HUTCH_CHILD_CODE bool write_text(const char* path, const char* text) {
    const long file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool written = syscall(SYS_write, file, text, strlen(text)) == static_cast<long>(strlen(text));
    const int code = errno;
    syscall(SYS_close, file);
    errno = code;
    return written;
}

HUTCH_CHILD_CODE void become_inner(Errand& errand) {
    if (sys_setgroups(0, nullptr) != 0 || sys_setresgid(0) != 0 || sys_setresuid(0) != 0) {
        return fail(errand, "becoming its root");
    }
    if (syscall(SYS_unshare, CLONE_NEWUSER) != 0) return fail(errand, "making one within it");
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);  // a change of credentials would have undone it
    errand.inner = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
    if (errand.inner < 0) fail(errand, "opening the one within");
}

HUTCH_CHILD_CODE int make(void* its_errand) {
    auto& errand = *static_cast<Errand*>(its_errand);
    become_inner(errand);
    syscall(SYS_write, errand.said, "1", 1);
    for (;;) syscall(SYS_pause);
}

/// "/proc/PID/FILE" of the maker; no snprintf, which may take a lock.
HUTCH_CHILD_CODE bool write_map(pid_t maker, const char* file, const char* map) {
    char path[64] = "/proc/";
    char digits[12];
    size_t count = 0;
    for (unsigned rest = static_cast<unsigned>(maker); rest != 0; rest /= 10) {
        digits[count++] = static_cast<char>('0' + rest % 10);
    }
    size_t length = strlen(path);
    while (count > 0) path[length++] = digits[--count];
    strcpy(path + length, file);
    return write_text(path, map);
}

HUTCH_CHILD_CODE void write_settings(Errand& errand) {
    // The namespace inherits it as a limit of all its processes together, which the box's pids group is for.
    const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
    syscall(SYS_prlimit64, 0, RLIMIT_NPROC, &none, nullptr);
    if (syscall(SYS_setns, errand.outer, CLONE_NEWUSER) != 0) return fail(errand, "joining the user namespace");
    for (const NamespaceLimit& limit : kNamespaceLimits) {
        if (!write_text(limit.file, limit.most)) return fail(errand, limit.file);
    }
    const pid_t maker = clone(make, errand.maker_stack_end, CLONE_VM | CLONE_FILES | SIGCHLD, &errand);
    if (maker < 0) return fail(errand, "cloning");
    char byte = 0;
    while (syscall(SYS_read, errand.heard, &byte, 1) < 0 && errno == EINTR) {
    }
    if (errand.failed_step == nullptr &&
        (!write_map(maker, "/uid_map", errand.map) || !write_map(maker, "/gid_map", errand.map))) {
        fail(errand, "mapping the ids of the one within");
    }
    syscall(SYS_kill, maker, SIGKILL);
    while (syscall(SYS_wait4, maker, nullptr, 0, nullptr) < 0 && errno == EINTR) {
    }
}

HUTCH_CHILD_CODE int write_and_leave(void* its_errand) {
    write_settings(*static_cast<Errand*>(its_errand));
    leave();
}

}  // namespace

Result<UniqueFd> make_inner_namespace(const UniqueFd& outer, const std::string& map) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    const UniqueFd heard(ends[0]);
    const UniqueFd said(ends[1]);
    constexpr size_t kStack = 16 * 1024;
    alignas(16) char writer_stack[kStack];
    alignas(16) char maker_stack[kStack];
    Errand errand{.outer = outer.get(),
                  .said = said.get(),
                  .heard = heard.get(),
                  .map = map.c_str(),
                  .maker_stack_end = maker_stack + kStack};
    pid_t writer = 0;
    {
        const BlockedSignals blocked;
        writer = clone(write_and_leave, writer_stack + kStack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &errand);
    }
    if (writer < 0) return errno_error("cloning");
    while (waitpid(writer, nullptr, 0) < 0 && errno == EINTR) {
    }
    UniqueFd inner(errand.inner);
    if (errand.failed_step != nullptr) return errno_error(errand.failed_step, errand.failed_code);
    return inner;
}

}  // namespace hutch::runtime
