#include "runtime/idmap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "runtime/inner_namespace.h"

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

/// While it lives, the calling thread (no other: the raw call changes only its caller) has the effective uid `id`, and
/// no effective capability. Its end gives both back, or aborts: a thread of the daemon that goes on with the id of a
/// box is worse than none.
class EffectiveUser {
  public:
    static Result<EffectiveUser> take(uid_t id) {
        if (set(id) != 0) return errno_error("taking the uid " + std::to_string(id));
        return EffectiveUser(true);
    }
    EffectiveUser(EffectiveUser&& other) noexcept : armed_(std::exchange(other.armed_, false)) {}
    EffectiveUser& operator=(EffectiveUser&&) = delete;
    ~EffectiveUser() {
        if (armed_ && set(0) != 0) abort();
    }

  private:
    explicit EffectiveUser(bool armed) : armed_(armed) {}
    static long set(uid_t id) { return syscall(SYS_setresuid, -1, id, -1); }

    bool armed_;
};

// The kernel counts what a namespace's users hold (inotify, pending signals, timers, message queues, locked memory)
// once more for the effective user who made the namespace, and limits that sum (inc_ucount() and inc_rlimit_ucounts()
// in kernel/ucount.c). Made by root, all boxes and the host's root would share one budget.
Result<pid_t> clone_as(uid_t base, char* stack_end, pid_t& self) {
    const EffectiveUser owner = TRY(EffectiveUser::take(base));
    const pid_t pid = clone(hold_namespace, stack_end, CLONE_VM | CLONE_FILES | CLONE_NEWUSER | SIGCHLD, &self);
    if (pid < 0) return errno_error("creating a user namespace");
    return pid;
}

}  // namespace

Result<UniqueFd> make_user_namespace(uid_t base, Nesting nesting, uid_t high_base) {
    alignas(16) char stack[4096];
    pid_t self = getpid();
    const pid_t pid = TRY(clone_as(base, stack + sizeof(stack), self));
    const Undo holder([pid] {  // always: only the namespace is wanted
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    });
    const std::string proc = "/proc/" + std::to_string(pid);
    const auto extent = [](uid_t inside, uid_t outside, uid_t count) {
        return std::to_string(inside) + " " + std::to_string(outside) + " " + std::to_string(count) + "\n";
    };
    std::string map = extent(0, base, kIdsPerBox);
    std::string same = extent(0, 0, kIdsPerBox);
    if (high_base != 0) {
        map += extent(kIdsPerBox, high_base, kHighIdsPerBox);
        same += extent(kIdsPerBox, kIdsPerBox, kHighIdsPerBox);
    }
    TRY(write_value_at(AT_FDCWD, proc + "/uid_map", map));
    TRY(write_value_at(AT_FDCWD, proc + "/gid_map", map));
    UniqueFd made = TRY(open_at(AT_FDCWD, proc + "/ns/user", O_RDONLY));
    return nesting == Nesting::kAllowed ? make_inner_namespace(made, same) : std::move(made);
}

}  // namespace hutch::runtime
