#pragma once

#include <functional>
#include <optional>
#include <string>

#include "daemon/async.h"

namespace hutch::daemon {

/// Hears that a task has ended, on the event loop; with an error if an exception ended it.
using Ended = std::function<void(Result<void>)>;

/// Starts `work`, which nobody awaits. An exception that ends it is logged under `name`, and then handed to `ended`:
/// there its owner tells whoever waits for the task, which must not wait for ever. What `work` refers to must outlive
/// it, so a coroutine that is a lambda with captures is given as a function, which is kept until the end.
void spawn(const asio::any_io_executor& executor, std::string name, Task<> work, Ended ended = nullptr);
void spawn(const asio::any_io_executor& executor, std::string name, std::function<Task<>()> work,
           Ended ended = nullptr);

/// The same for work that the daemon cannot do without: it begins again a moment after an exception has ended it.
void spawn_lasting(const asio::any_io_executor& executor, std::string name, std::function<Task<>()> work);

/// Waits for the first of the two to end, then cancels the other and waits for it too. True when that was `work`, whose
/// exception is thrown on.
Task<bool> ends_before(Task<> work, Task<> over);

/// What `work` comes to, or nothing when `over` ends before it.
template <typename T>
Task<std::optional<T>> unless(Task<> over, Task<T> work) {
    std::optional<T> done;
    const auto finish = [&]() -> Task<> { done.emplace(co_await std::move(work)); };
    // What was cancelled may come to something all the same, which is then not its own.
    if (!co_await ends_before(finish(), std::move(over))) co_return std::nullopt;
    co_return std::move(done);
}

/// What `work` comes to, an exception being an error: for who has something to undo then that takes an await.
template <typename T>
Task<Result<T>> caught(Task<Result<T>> work) {
    std::optional<Error> thrown;
    try {
        co_return co_await std::move(work);
    } catch (const std::exception& exception) {
        thrown = Error{ErrorKind::kSystem, 0, exception.what()};
    }
    co_return *std::move(thrown);
}

}  // namespace hutch::daemon
