#pragma once

#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/leaf.h"
#include "daemon/event.h"

namespace hutch::daemon {

/// What is known of a command between its start and its end. The box's link tells it what init says.
struct ActiveRun {
    ActiveRun(const asio::any_io_executor& executor, cgroups::Leaf its_leaf)
        : leaf(std::move(its_leaf)), started(executor), exited(executor) {}

    cgroups::Leaf leaf;
    Event started;  ///< or failed to start
    Event exited;
    std::optional<Error> failure;  ///< why it did not start, or that the box ended first
    int wait_status = 0;
    bool timed_out = false;
    UniqueFd terminal;
};

}  // namespace hutch::daemon
