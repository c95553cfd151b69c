#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstring>
#include <utility>

#include "base/syscalls.h"
#include "base/unique_fd.h"

namespace hutch::testing {

/// clone3 into the v2 group `group`, as fork: 0 in the child, -1 and errno when refused.
inline pid_t clone_into(int group, int* pidfd = nullptr) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP | (pidfd != nullptr ? CLONE_PIDFD : 0);
    args.pidfd = reinterpret_cast<uint64_t>(pidfd);
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<uint64_t>(group);
    return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
}

/// A child born in a group; killed and reaped with this object. Its body's answer is its exit status.
class CgroupChild {
  public:
    template <typename Body>
    CgroupChild(int group, Body body) {
        int pidfd = -1;
        pid_ = clone_into(group, &pidfd);
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(body());
        }
        pidfd_ = UniqueFd(pidfd);
    }
    CgroupChild(CgroupChild&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
    CgroupChild(const CgroupChild&) = delete;
    CgroupChild& operator=(const CgroupChild&) = delete;
    ~CgroupChild() {
        if (pid_ <= 0) return;
        sys_pidfd_send_signal(pidfd_.get(), SIGKILL);
        wait();
    }

    [[nodiscard]] bool started() const { return pid_ > 0; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }
    /// Waits for the end and reaps: the exit status, or minus the signal that killed it.
    int wait() {
        siginfo_t info{};
        sys_waitid_pidfd(pidfd_.get(), &info, WEXITED);
        pid_ = -1;
        return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    }
    /// True if it has ended by now; it stays a zombie.
    [[nodiscard]] bool ended() const {
        siginfo_t info{};
        sys_waitid_pidfd(pidfd_.get(), &info, WEXITED | WNOWAIT | WNOHANG);
        return info.si_pid != 0;
    }

  private:
    pid_t pid_ = -1;
    UniqueFd pidfd_;
};

}  // namespace hutch::testing
