#pragma once

#include <array>
#include <chrono>

#include "daemon/async.h"
#include "daemon/histogram.h"

namespace hutch::daemon {

/// Runs an event loop, and measures how long whoever has something to do there waits for others. Event loop thread
/// only.
class LagMeter {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::array<double, 7> kBounds = {0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0};  ///< seconds

    struct Figures {
        Histogram lag{kBounds};  ///< how late a timer rang that was due each second
        std::chrono::nanoseconds latest{0};
        /// The most CPU time that one turn took, with at most kShort of those just before it; 0 while all were shorter.
        std::chrono::nanoseconds longest_turn{0};
    };
    /// Shorter turns are not told apart: the clock of a thread's CPU time costs half a microsecond to read.
    static constexpr std::chrono::milliseconds kShort{5};

    explicit LagMeter(asio::io_context& loop) : loop_(loop), timer_(loop) {}

    /// Until the loop is stopped or has nothing left to do.
    void run();
    [[nodiscard]] const Figures& figures() const { return figures_; }

  private:
    void ring_in_a_second();
    void note_lag(std::chrono::nanoseconds late);

    asio::io_context& loop_;
    asio::steady_timer timer_;
    Figures figures_;
};

}  // namespace hutch::daemon
