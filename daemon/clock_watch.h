#pragma once

#include "base/unique_fd.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {

/// Hears that the host's clock was set, or that the host has slept meanwhile: what waits for a time of day by the
/// monotonic clock looks at it again (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Event loop thread only.
class ClockWatch {
  public:
    static Result<ClockWatch> open();
    /// Until it happens; false when that cannot be learnt.
    Task<bool> changed(asio::any_io_executor executor);

  private:
    explicit ClockWatch(UniqueFd timer) : timer_(std::move(timer)) {}
    UniqueFd timer_;
};

}  // namespace hutch::daemon
