#pragma once

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <optional>
#include <type_traits>

#include "base/priority.h"
#include "daemon/async.h"
#include "daemon/turns.h"

namespace hutch::daemon {

/// Whose work goes on beside everybody's and may take long computes at the priority of boxes' commands.
enum class Urgency { kAtOnce, kBehind };

/// The threads that make blocking kernel calls, so that the event loop never does. Counted: a storm of requests
/// queues here instead of making threads.
class Workers {
  public:
    /// Of one customer's work at most `each` is done at a time: by default, all threads but one.
    explicit Workers(size_t threads, size_t each = 0, Urgency urgency = Urgency::kAtOnce)
        : urgency_(urgency), pool_(threads), turns_(threads, each > 0 ? each : std::max<size_t>(threads - 1, 1)) {}
    ~Workers() { join(); }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    /// Waits until what was begun is done.
    void join() { pool_.join(); }

    /// Runs `work` on a worker thread and comes back with its result, or with what it threw (out of memory). What it
    /// refers to must outlive it: the caller waits for it, whatever happens to the caller's client.
    template <typename F>
    Task<std::invoke_result_t<F>> run(F work) {
        std::optional<std::invoke_result_t<F>> result;
        std::exception_ptr thrown;
        auto start = [&](auto handler) {
            auto back = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
            asio::post(pool_, [this, &result, &thrown, &work, back, handler = std::move(handler)]() mutable {
                take_place();
                try {
                    result.emplace(work());
                } catch (...) {
                    thrown = std::current_exception();
                }
                asio::post(back, std::move(handler));
            });
        };
        co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(std::move(start), asio::use_awaitable);
        if (thrown) std::rethrow_exception(thrown);
        co_return std::move(*result);
    }

    /// Runs `work` on a worker thread. Nobody waits for it, and it must not throw.
    template <typename F>
    void run_behind(F work) {
        asio::post(pool_, [this, work = std::move(work)]() mutable {
            take_place();
            work();
        });
    }

    /// The same, in that customer's turn: for whatever may wait for a disk, or for much of a box's making.
    template <typename F>
    Task<std::invoke_result_t<F>> run_for(std::string customer, F work) {
        const auto turn = co_await turns_.take(std::move(customer));
        co_return co_await run(std::move(work));
    }

  private:
    // Linux keeps it for each thread.
    void take_place() const {
        thread_local bool taken = false;
        if (urgency_ == Urgency::kBehind && !taken) taken = set_priority(kUsualPriority) == 0;
    }

    const Urgency urgency_;
    asio::thread_pool pool_;
    Turns turns_;
};

}  // namespace hutch::daemon
