#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/event.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// The next piece of an upload; empty at its end.
using Source = std::function<Task<Result<std::string>>()>;

/// Threads of their own for work that reads what a client sends: it waits for its client, and nobody else may wait for
/// that. Event loop thread only.
class PipedWorkers {
  public:
    /// Reads from `pipe`, to its end or until it gives up. On a worker thread; what it refers to must outlive this
    /// object, or be its own.
    using Work = std::function<Result<void>(int pipe)>;

    PipedWorkers(asio::any_io_executor executor, size_t threads, size_t each = 0)
        : executor_(std::move(executor)), workers_(threads, each, Urgency::kBehind) {}
    /// What nobody feeds any more must not be waited for.
    ~PipedWorkers();
    PipedWorkers(const PipedWorkers&) = delete;
    PipedWorkers& operator=(const PipedWorkers&) = delete;

    /// Has `work` read what `source` gives, in that customer's turn. `what` names it in the log. Answers the work's
    /// error first, then the source's: an upload that broke off may have looked whole.
    Task<Result<void>> run(std::string what, std::string customer, Work work, Source source);

  private:
    struct Job;
    Task<> work_on(std::shared_ptr<Job> job);

    asio::any_io_executor executor_;
    std::vector<std::weak_ptr<Job>> jobs_;
    Workers workers_;
};

}  // namespace hutch::daemon
