#pragma once

#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace hutch {

/// How soon a thread of the usual policy gets a CPU that others use without pause.
struct Priority {
    int nice;
    uint64_t
        slice_ns;  ///< how long it runs at a time: a shorter one comes at once (EEVDF, since Linux 6.12); 0: as usual
};

inline constexpr Priority kUsualPriority{0, 0};
/// Of the daemon and of boxes' inits, which work for microseconds at a time. Nine times the weight of the usual one.
inline constexpr Priority kShortWork{-10, 100'000};

/// Of the calling thread, and of what it starts from now on (sched_setattr(2)). Below the present nice value it needs
/// CAP_SYS_NICE: 0, or -1 with errno. Makes one system call and nothing else.
inline int set_priority(const Priority& priority) {
    sched_attr wanted{};
    wanted.size = sizeof(wanted);
    wanted.sched_nice = priority.nice;
    wanted.sched_runtime = priority.slice_ns;
    return static_cast<int>(syscall(SYS_sched_setattr, 0, &wanted, 0));
}

}  // namespace hutch
