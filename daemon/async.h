#pragma once

// The parts of Asio the daemon is written with, in one place (and in the precompiled header).

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/result.h"

namespace hutch::daemon {

namespace asio = boost::asio;

template <typename T = void>
using Task = asio::awaitable<T>;

/// Errors come back as values, not as exceptions.
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace hutch::daemon
