#include "daemon/spawn.h"

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <exception>

#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::milliseconds kAgain{100};

Result<void> result_of(const std::exception_ptr& thrown) {
    if (!thrown) return {};
    try {
        std::rethrow_exception(thrown);
    } catch (const asio::multiple_exceptions& several) {  // of two that were awaited together: says nothing itself
        return result_of(several.first_exception());
    } catch (const std::exception& exception) {
        return Error{ErrorKind::kSystem, 0, exception.what()};
    } catch (...) {
        return Error{ErrorKind::kSystem, 0, "an exception of no known type"};
    }
}

// An owner that throws would take the event loop, and with it the daemon, along.
void tell(const std::string& name, const Ended& ended, const std::exception_ptr& thrown) {
    const Result<void> how = result_of(thrown);
    if (!how.ok()) log_error("{}: ended by an exception: {}", name, how.error().message);
    if (!ended) return;
    try {
        ended(how);
    } catch (const std::exception& exception) {
        log_error("{}: its end could not be dealt with: {}", name, exception.what());
    }
}

Task<> hold(std::function<Task<>()> work) {
    co_await work();
}

Task<> hold_after(std::chrono::milliseconds pause, std::function<Task<>()> work) {
    if (pause != pause.zero()) {
        asio::steady_timer timer(co_await asio::this_coro::executor, pause);
        co_await timer.async_wait(kAwait);
    }
    co_await work();
}

void last(const asio::any_io_executor& executor, const std::string& name, std::function<Task<>()> work,
          std::chrono::milliseconds pause) {
    spawn(executor, name, hold_after(pause, work), [executor, name, work](const Result<void>& how) {
        if (!how.ok()) last(executor, name, work, kAgain);
    });
}

}  // namespace

void spawn(const asio::any_io_executor& executor, std::string name, Task<> work, Ended ended) {
    asio::co_spawn(executor, std::move(work),
                   [name = std::move(name), ended = std::move(ended)](const std::exception_ptr& thrown) {
                       tell(name, ended, thrown);
                   });
}

void spawn(const asio::any_io_executor& executor, std::string name, std::function<Task<>()> work, Ended ended) {
    spawn(executor, std::move(name), hold(std::move(work)), std::move(ended));
}

void spawn_lasting(const asio::any_io_executor& executor, std::string name, std::function<Task<>()> work) {
    last(executor, name, std::move(work), std::chrono::milliseconds::zero());
}

Task<bool> ends_before(Task<> work, Task<> over) {
    namespace experimental = asio::experimental;
    const auto executor = co_await asio::this_coro::executor;
    const auto [order, thrown, thrown_over] =
        co_await experimental::make_parallel_group(asio::co_spawn(executor, std::move(work), asio::deferred),
                                                   asio::co_spawn(executor, std::move(over), asio::deferred))
            .async_wait(experimental::wait_for_one(), asio::use_awaitable);
    if (order[0] == 0 && thrown) std::rethrow_exception(thrown);
    if (order[0] == 1 && thrown_over) std::rethrow_exception(thrown_over);
    co_return order[0] == 0;
}

}  // namespace hutch::daemon
