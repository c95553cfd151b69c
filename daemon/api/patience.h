#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace hutch::daemon {

using Millis = std::chrono::milliseconds;

/// How long a client may let the door wait. Each is long for who is slow, and short for who holds a connection open.
struct Patience {
    Millis head{std::chrono::seconds(15)};     ///< from the first byte of a request's head to its last; a TLS handshake
    Millis idle{std::chrono::minutes(2)};      ///< for a request's first byte
    Millis body{std::chrono::seconds(60)};     ///< what a body may fall behind its pace (Pace)
    Millis answer{std::chrono::minutes(5)};    ///< without a byte of the answer taken
    Millis farewell{std::chrono::seconds(2)};  ///< for the client to have read the last answer
};

/// The least pace of a body: a byte in a millisecond, on average, and pauses of `most` at most.
class Pace {
  public:
    explicit Pace(Millis most) : most_(most), left_(most) {}

    [[nodiscard]] Millis left() const { return left_; }
    /// So many bytes came after a wait. What the door itself takes to use them does not count.
    void add(Millis waited, size_t bytes) { left_ = std::clamp(left_ - waited + Millis(bytes), Millis::zero(), most_); }

  private:
    Millis most_;
    Millis left_;
};

}  // namespace hutch::daemon
