#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "base/file.h"
#include "base/syscalls.h"
#include "base/undo.h"

namespace hutch::test {

/// A user namespace in which ids 0..65535 are base..base+65535 outside, as a box's is; held by nothing but the answer.
inline Result<UniqueFd> make_user_namespace(uid_t base) {
    const auto child = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    if (child < 0) return errno_error("cloning into a user namespace");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    const Undo end([&] {
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
    });
    const std::string process = "/proc/" + std::to_string(child);
    const std::string map = "0 " + std::to_string(base) + " 65536";
    TRY(write_value_at(AT_FDCWD, process + "/uid_map", map));
    TRY(write_value_at(AT_FDCWD, process + "/gid_map", map));
    return open_at(AT_FDCWD, process + "/ns/user", O_RDONLY);
}

/// Runs `body` in a child that is `id` inside the user namespace `userns`; answers its exit status (or 128 + signal).
template <typename Body>
int run_in_user_namespace(int userns, uid_t id, Body body) {
    const pid_t child = fork();
    if (child == 0) {
        // By way of 0: only a change away from the namespace's own root drops the capabilities that setns gave.
        const bool inside = setns(userns, CLONE_NEWUSER) == 0 && sys_setgroups(0, nullptr) == 0 &&
                            sys_setresgid(id) == 0 && sys_setresuid(0) == 0 && sys_setresuid(id) == 0;
        _exit(inside ? body() : 99);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace hutch::test
