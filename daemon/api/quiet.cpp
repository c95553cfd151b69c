#include "daemon/api/quiet.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace hutch::daemon {
namespace {

using Clock = std::chrono::steady_clock;

// A beat that is cut off would leave half a chunk behind. So it ends whole, and only then is looked whether this is
// over.
Task<> keep_beating(Exchange& exchange, const Beat& beat) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto begin = Clock::now();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (;;) {
        const auto due = std::max(begin, exchange.last_write()) + kLongestQuiet;
        if (Clock::now() < due) {
            timer.expires_at(due);
            const auto [cut] = co_await timer.async_wait(kAwait);
            const auto state = co_await asio::this_coro::cancellation_state;
            if (cut || state.cancelled() != asio::cancellation_type::none) co_return;
            continue;
        }
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation(),
                                                           asio::disable_cancellation());
        const auto written = co_await beat();
        const auto after = co_await asio::this_coro::cancellation_state;
        if (!written.ok() || after.cancelled() != asio::cancellation_type::none) co_return;
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
    }
}

}  // namespace

Task<> gone_or_beat(Exchange& exchange, Beat beat) {
    using namespace asio::experimental::awaitable_operators;
    co_await (exchange.client_gone() || keep_beating(exchange, beat));
}

}  // namespace hutch::daemon
