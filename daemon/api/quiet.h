#pragma once

#include <functional>

#include "daemon/api/exchange.h"

namespace hutch::daemon {

/// Clients, and proxies in between, take an answer for lost in which nothing comes for some minutes: Node's fetch 300 s
/// after the last byte, heads included.
constexpr std::chrono::seconds kLongestQuiet{30};

/// Writes into an answer what means nothing there.
using Beat = std::function<Task<Result<void>>()>;

/// Done when the client has gone away, as Exchange::client_gone. Meanwhile beats whenever nothing was written for
/// kLongestQuiet.
Task<> gone_or_beat(Exchange& exchange, Beat beat);

}  // namespace hutch::daemon
