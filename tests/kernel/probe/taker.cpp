// `probe take KIND` takes as many of a kind of kernel object as it is given, says "took NUMBER ERRNO", and holds them
// until its input ends; `probe take-one KIND` says whether one more is to be had. The neighbour's part and the host's
// are played by the same program.

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

// Each takes the n-th of its kind and keeps it: -1 and errno when refused.

long inotify_instance(long /*n*/) {
    return inotify_init1(0);
}

// In each instance as many as there are files.
long inotify_watch(long n) {
    constexpr long kFiles = 4000;
    static int files[kFiles];
    static int instance = -1;
    if (n < kFiles) files[n] = memfd_create("watched", 0);
    if (n % kFiles == 0) instance = inotify_init1(0);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", files[n % kFiles]);
    return instance < 0 ? -1 : inotify_add_watch(instance, path, IN_CREATE);
}

long pending_signal(long n) {
    if (n == 0) {
        sigset_t real_time;
        sigemptyset(&real_time);
        sigaddset(&real_time, SIGRTMIN);
        sigprocmask(SIG_BLOCK, &real_time, nullptr);
    }
    return sigqueue(getpid(), SIGRTMIN, {});
}

long posix_timer(long /*n*/) {
    timer_t timer = nullptr;
    return timer_create(CLOCK_MONOTONIC, nullptr, &timer);
}

long message_queue(long n) {
    char name[64];
    snprintf(name, sizeof(name), "/hutch-take-%d-%ld", getpid(), n);
    mq_attr large{};
    large.mq_maxmsg = 10;
    large.mq_msgsize = 8192;
    const mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &large);
    if (queue >= 0) mq_unlink(name);  // it lives as long as the descriptor
    return queue;
}

// RLIMIT_MEMLOCK is the user's here, not the process's.
long locked_segment(long /*n*/) {
    const int segment = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
    if (segment < 0) return -1;
    shmat(segment, nullptr, SHM_RDONLY);
    const long locked = shmctl(segment, SHM_LOCK, nullptr);
    const int failed = errno;
    shmctl(segment, IPC_RMID, nullptr);  // it lives as long as who has it attached
    errno = failed;
    return locked;
}

long terminal(long /*n*/) {
    return open("/dev/ptmx", O_RDWR | O_NOCTTY);
}

long pipe_pages(long /*n*/) {
    int ends[2];
    if (pipe(ends) != 0) return -1;
    return fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
}

long semaphores(long /*n*/) {
    return semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
}

struct Kind {
    const char* name;
    long (*take)(long n);
};

constexpr Kind kKinds[] = {
    {"inotify-instance", inotify_instance},
    {"inotify-watch", inotify_watch},
    {"pending-signal", pending_signal},
    {"posix-timer", posix_timer},
    {"message-queue", message_queue},
    {"locked-segment", locked_segment},
    {"terminal", terminal},
    {"pipe-pages", pipe_pages},
    {"semaphore-set", semaphores},
    // By a user of its own each: what a user may have is not what bounds the box.
    {"user-namespace", [](long n) { return hold_namespace(n, 0); }},
    {"mount-namespace", [](long n) { return hold_namespace(n, CLONE_NEWNS); }},
    {"network-namespace", [](long n) { return hold_namespace(n, CLONE_NEWNET); }},
    {"process-namespace", [](long n) { return hold_namespace(n, CLONE_NEWPID); }},
    {"aio-context",
     [](long /*n*/) {
         unsigned long context = 0;
         return syscall(SYS_io_setup, 1024, &context);
     }},
};

const Kind* kind_of(char** arguments) {
    for (const Kind& kind : kKinds) {
        if (arguments[0] != nullptr && strcmp(kind.name, arguments[0]) == 0) return &kind;
    }
    puts("no such kind");
    return nullptr;
}

long take(char** arguments) {
    const Kind* kind = kind_of(arguments);
    if (kind == nullptr) return 2;
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    long taken = 0;
    while (taken < 1'000'000 && kind->take(taken) >= 0) ++taken;
    printf("took %ld %s\n", taken, strerrorname_np(errno));
    fflush(stdout);
    char byte = 0;
    return read(0, &byte, 1) < 0 ? 1 : 0;
}

long take_one(char** arguments) {
    const Kind* kind = kind_of(arguments);
    if (kind == nullptr) return 2;
    puts(kind->take(0) < 0 ? strerrorname_np(errno) : "done");
    return 0;
}

constexpr Attempt kTakers[] = {{"take", take}, {"take-one", take_one}};

}  // namespace

std::span<const Attempt> takers() {
    return kTakers;
}

}  // namespace hutch::probe
