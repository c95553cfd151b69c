#pragma once

#include "daemon/async.h"

namespace hutch::daemon {

/// Something that happens once. All who wait go on when it is set; waiting after that does not wait.
/// One thread only (the event loop).
class Event {
  public:
    explicit Event(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

    void set() {
        set_ = true;
        timer_.cancel();
    }
    [[nodiscard]] bool is_set() const { return set_; }
    Task<> wait() {
        if (!set_) co_await timer_.async_wait(kAwait);
    }

  private:
    asio::steady_timer timer_;  // never expires: cancelling it is the signal
    bool set_ = false;
};

/// Counts what is under way, so that shutting down or deleting can wait for the last to leave.
class Gate {
  public:
    explicit Gate(const asio::any_io_executor& executor) : empty_(executor) {}

    class Pass {
      public:
        explicit Pass(Gate& gate) : gate_(&gate) { ++gate_->inside_; }
        Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;
        Pass& operator=(Pass&&) = delete;
        ~Pass() {
            if (gate_ != nullptr && --gate_->inside_ == 0 && gate_->closed_) gate_->empty_.set();
        }

      private:
        Gate* gate_;
    };

    [[nodiscard]] Pass enter() { return Pass(*this); }
    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] size_t inside() const { return inside_; }
    /// Lets nobody else in (callers look at closed()) and waits for the last to leave.
    Task<> close() {
        closed_ = true;
        if (inside_ == 0) empty_.set();
        co_await empty_.wait();
    }

  private:
    Event empty_;
    size_t inside_ = 0;
    bool closed_ = false;
};

}  // namespace hutch::daemon
