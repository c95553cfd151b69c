#include "daemon/systemd.h"

#include <systemd/sd-daemon.h>

namespace hutch::daemon {

Result<UniqueFd> socket_handed_over() {
    const int count = sd_listen_fds(1);  // and nothing we start takes them for its own
    if (count < 0) return errno_error("LISTEN_FDS", -count);
    if (count == 0) return UniqueFd();
    UniqueFd socket(SD_LISTEN_FDS_START);
    if (count > 1 || sd_is_socket_unix(socket.get(), SOCK_STREAM, 1, nullptr, 0) <= 0) {
        return invalid(
            "LISTEN_FDS: must be one listening Unix stream socket; let the socket unit have a single "
            "ListenStream= that is a path");
    }
    return socket;
}

void notify_ready() {
    sd_notify(0, "READY=1\nSTATUS=Serving requests");
}

void notify_stopping() {
    sd_notify(0, "STOPPING=1\nSTATUS=Finishing requests; boxes stay");
}

Task<> feed_watchdog() {
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(0, &limit_us) <= 0) co_return;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        sd_notify(0, "WATCHDOG=1");
        timer.expires_after(std::chrono::microseconds(limit_us / 2));
        co_await timer.async_wait(kAwait);
    }
}

}  // namespace hutch::daemon
