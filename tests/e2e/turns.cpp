// Preloaded into hutchd: a turn of its event loop that takes more CPU time than HUTCH_TURN_MS ends it, with the calls
// it was in. The loop looks at its thread's clock between turns (daemon/lag_meter.cpp), which winds this one up anew;
// CPU time, because a busy machine makes every turn long by other clocks. With HUTCH_NO_SYNC that thread must not wait
// for a disk either.

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<pid_t> loop_thread = 0;

pid_t this_thread() {
    return static_cast<pid_t>(syscall(SYS_gettid));
}

[[noreturn]] void fail(const char* what) {
    (void)!write(STDERR_FILENO, what, strlen(what));
    void* calls[64];
    backtrace_symbols_fd(calls, backtrace(calls, 64), STDERR_FILENO);
    abort();
}

void on_time(int) {
    fail("a turn of the event loop took longer than HUTCH_TURN_MS; it was in:\n");
}

void wind_up() {
    static timer_t timer;
    static const long bound = [] {
        void* calls[1];
        backtrace(calls, 1);  // loads what it needs now, not in the signal's handler
        signal(SIGRTMIN, on_time);
        loop_thread = this_thread();
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGRTMIN;
        event._sigev_un._tid = this_thread();
        if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) abort();
        const char* const text = getenv("HUTCH_TURN_MS");
        return text == nullptr ? 100 : atol(text);
    }();
    itimerspec once{};
    once.it_value.tv_sec = bound / 1000;
    once.it_value.tv_nsec = bound % 1000 * 1'000'000;
    timer_settime(timer, 0, &once, nullptr);
}

std::atomic<bool> stopping = false;

void check_sync() {
    static const bool forbidden = getenv("HUTCH_NO_SYNC") != nullptr;
    if (forbidden && !stopping && loop_thread == this_thread()) fail("the event loop waits for a disk; it is in:\n");
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
    using Real = int(clockid_t, timespec*);
    static auto* const real = reinterpret_cast<Real*>(dlsym(RTLD_NEXT, "clock_gettime"));
    if (clock == CLOCK_THREAD_CPUTIME_ID) wind_up();
    return real(clock, now);
}

#define SYNC(name)                                                                         \
    extern "C" int name(int fd) {                                                          \
        static auto* const real = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, #name)); \
        check_sync();                                                                      \
        return real(fd);                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)
extern "C" int syncfs(int fd) noexcept {
    static auto* const real = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, "syncfs"));
    check_sync();
    return real(fd);
}

// What it tells the service manager: at its end nobody is waiting.
extern "C" int sd_notify(int unset, const char* state) {
    static auto* const real = reinterpret_cast<int (*)(int, const char*)>(dlsym(RTLD_NEXT, "sd_notify"));
    if (strstr(state, "STOPPING=1") != nullptr) stopping = true;
    return real(unset, state);
}
