#pragma once

#include "daemon/async.h"

namespace hutch::daemon {

/// Waits for a descriptor that somebody else owns (and keeps open longer than this).
class FdWatch {
  public:
    FdWatch(const asio::any_io_executor& executor, int fd) : descriptor_(executor, fd) {}
    ~FdWatch() { (void)descriptor_.release(); }
    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;

    /// False when cancelled.
    Task<bool> readable() { co_return co_await wait(asio::posix::stream_descriptor::wait_read); }
    /// Something exceptional (POLLPRI): of a file in cgroupfs, that a value in it has changed since it was last read.
    Task<bool> changed() { co_return co_await wait(asio::posix::stream_descriptor::wait_error); }
    Task<bool> writable() { co_return co_await wait(asio::posix::stream_descriptor::wait_write); }
    void cancel() {
        boost::system::error_code ignored;
        descriptor_.cancel(ignored);
    }

  private:
    Task<bool> wait(asio::posix::stream_descriptor::wait_type what) {
        const auto [failure] = co_await descriptor_.async_wait(what, kAwait);
        co_return !failure;
    }

    asio::posix::stream_descriptor descriptor_;
};

}  // namespace hutch::daemon
