#include "runtime/idmap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/file.h"
#include "base/syscalls.h"
#include "base/undo.h"

namespace hutch::runtime {
namespace {

// Shares our memory and waits to be killed. It must not return nor touch errno, which it shares with its maker. It goes
// with its maker: it shares the descriptors too, and the lock and the connections of a killed daemon would live on in
// it.
int hold_namespace(void* maker) {
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (syscall(SYS_getppid) != *static_cast<const pid_t*>(maker)) syscall(SYS_exit, 1);  // gone before that
    for (;;) syscall(SYS_pause);
}

}  // namespace

Result<UniqueFd> make_user_namespace(uid_t base) {
    alignas(16) char stack[4096];
    pid_t self = getpid();
    const pid_t pid =
        clone(hold_namespace, stack + sizeof(stack), CLONE_VM | CLONE_FILES | CLONE_NEWUSER | SIGCHLD, &self);
    if (pid < 0) return errno_error("creating a user namespace");
    const Undo holder([pid] {  // always: only the namespace is wanted
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    });
    const std::string proc = "/proc/" + std::to_string(pid);
    const std::string map = "0 " + std::to_string(base) + " " + std::to_string(kIdsPerBox);
    TRY(write_value_at(AT_FDCWD, proc + "/uid_map", map));
    TRY(write_value_at(AT_FDCWD, proc + "/gid_map", map));
    return open_at(AT_FDCWD, proc + "/ns/user", O_RDONLY);
}

}  // namespace hutch::runtime
