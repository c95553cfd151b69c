#pragma once

#include <optional>
#include <system_error>
#include <thread>
#include <type_traits>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::netns {

/// Runs `work` (which answers a Result) on a thread that ends with it. This is how anything enters a network namespace
/// here: a thread that has left the host's never returns to serve others, so there is no way back that could fail.
/// A thread costs about 30 us.
template <typename Work>
auto on_own_thread(Work work) -> std::invoke_result_t<Work> {
    std::optional<std::invoke_result_t<Work>> outcome;
    try {
        std::thread([&] { outcome.emplace(work()); }).join();
    } catch (const std::system_error& failure) {
        return errno_error("starting a thread", failure.code().value());
    }
    return std::move(*outcome);
}

/// Moves the calling thread into `netns` / into a new namespace, whose fd it returns. Only for threads that end there.
/// The namespace belongs to the user namespace of the caller (user_namespaces(7): whoever is root in a box's user
/// namespace has no power over it) and lives as long as a process, a socket or an fd of it.
Result<void> enter(int netns);
Result<UniqueFd> enter_new();

template <typename Work>
auto run_inside(int netns, Work work) -> std::invoke_result_t<Work> {
    return on_own_thread([&]() -> std::invoke_result_t<Work> {
        TRY(enter(netns));
        return work();
    });
}

}  // namespace hutch::netns
