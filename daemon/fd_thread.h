#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::daemon {

/// A thread of its own for what must not wait for a turn of the event loop: calls `work` whenever `fd` (somebody
/// else's, kept open longer than this) is readable. What `work` throws is logged under `name`, and does not end the
/// thread.
class FdThread {
  public:
    /// `work` answers in how many milliseconds it wants to be called though nothing is readable; -1: never.
    using Work = std::function<int()>;
    static Result<std::unique_ptr<FdThread>> start(const std::string& name, int fd, Work work);
    /// Waits for `work`, if it is under way.
    ~FdThread();
    FdThread(const FdThread&) = delete;
    FdThread& operator=(const FdThread&) = delete;

  private:
    explicit FdThread(UniqueFd stop) : stop_(std::move(stop)) {}
    void run(const std::string& name, int fd, const Work& work) const;

    UniqueFd stop_;  ///< an eventfd(2): readable at the end
    std::thread thread_;
};

}  // namespace hutch::daemon
