#pragma once

#include <functional>
#include <optional>

#include "daemon/async.h"

namespace hutch::daemon {

/// One timer for all deadlines of many things. Event loop thread only; must outlive the loop's last turn.
class Alarm {
  public:
    using Moment = std::chrono::steady_clock::time_point;
    /// Looks at all of them; answers when the next round is due, or nothing.
    using Round = std::function<std::optional<Moment>(Moment now)>;

    Alarm(const asio::any_io_executor& executor, Round round) : timer_(executor), round_(std::move(round)) {}

    /// A round at that moment, if none comes before it.
    void by(Moment moment) {
        if (next_ && *next_ <= moment) return;
        next_ = moment;
        timer_.expires_at(moment);  // which cancels the wait for what comes later
        timer_.async_wait([this](const boost::system::error_code& cancelled) {
            if (cancelled) return;
            next_.reset();
            if (const auto again = round_(Moment::clock::now())) by(*again);
        });
    }

  private:
    asio::steady_timer timer_;
    Round round_;
    std::optional<Moment> next_;
};

}  // namespace hutch::daemon
