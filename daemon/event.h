#pragma once

#include <memory>

#include "daemon/async.h"

namespace hutch::daemon {

/// Never done; may be cancelled.
inline Task<> for_ever() {
    asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
    co_await never.async_wait(kAwait);
}

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

/// Something that happens again and again. Wakes those who wait at that moment and remembers nothing: look first, then
/// wait, without an await between the two. One thread only (the event loop).
class Signal {
  public:
    explicit Signal(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

    void notify() { timer_.cancel(); }
    Task<> wait() { co_await timer_.async_wait(kAwait); }

  private:
    asio::steady_timer timer_;  // never expires, as an Event's
};

/// Counts what is under way, so that shutting down or deleting can wait for the last to leave.
class Gate {
    struct State {
        explicit State(const asio::any_io_executor& executor) : closing(executor), empty(executor) {}
        Event closing, empty;
        size_t inside = 0;
    };

  public:
    explicit Gate(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}

    /// Holds on to the gate's books: a coroutine that is never resumed is destroyed with the event loop, which may be
    /// after the gate.
    class Pass {
      public:
        explicit Pass(std::shared_ptr<State> state) : state_(std::move(state)) { ++state_->inside; }
        Pass(Pass&&) = default;
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;
        Pass& operator=(Pass&&) = delete;
        ~Pass() {
            if (state_ && --state_->inside == 0 && state_->closing.is_set()) state_->empty.set();
        }

      private:
        std::shared_ptr<State> state_;
    };

    [[nodiscard]] Pass enter() { return Pass(state_); }
    [[nodiscard]] bool closed() const { return state_->closing.is_set(); }
    [[nodiscard]] size_t inside() const { return state_->inside; }
    /// Lets nobody else in (callers look at closed()) and waits for the last to leave.
    Task<> close() {
        state_->closing.set();
        if (state_->inside == 0) state_->empty.set();
        co_await state_->empty.wait();
    }
    /// Until close() is called: for what would otherwise wait for something else for long.
    Task<> closing() { co_await state_->closing.wait(); }

  private:
    std::shared_ptr<State> state_;
};

}  // namespace hutch::daemon
