#pragma once

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
    // linux/sched/types.h and glibc before 2.41 both define sched_param, so this is its first version's sched_attr.
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t real_time_priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } wanted{};
    wanted.size = sizeof(wanted);
    wanted.nice = priority.nice;
    wanted.runtime_ns = priority.slice_ns;
    return static_cast<int>(syscall(SYS_sched_setattr, 0, &wanted, 0));
}

}  // namespace hutch
