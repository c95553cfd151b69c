#include "daemon/clock_watch.h"

#include <sys/timerfd.h>
#include <unistd.h>

namespace hutch::daemon {

Result<ClockWatch> ClockWatch::open() {
    UniqueFd timer(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer) return errno_error("making a timer of the host's clock");
    return ClockWatch(std::move(timer));
}

Task<bool> ClockWatch::changed(asio::any_io_executor executor) {
    constexpr time_t kNever = time_t{1} << 33;  // the year 2242
    const itimerspec never{.it_interval = {}, .it_value = {.tv_sec = kNever, .tv_nsec = 0}};
    if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0) {
        co_return false;
    }
    FdWatch watch(executor, timer_.get());
    const bool readable = co_await watch.readable();
    uint64_t rings = 0;
    (void)!read(timer_.get(), &rings, sizeof rings);  // ECANCELED, and then it is quiet again
    co_return readable;
}

}  // namespace hutch::daemon
