#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "daemon/event.h"

namespace hutch::daemon {

/// Something that only so many can use at a time, shared fairly: those who wait get their turns customer by customer,
/// and no customer has more than its share, so that what one's calls wait for keeps nobody else from theirs. Event loop
/// thread only.
class Turns {
  public:
    /// `total` at a time, `each` of one customer; the host's own customer may have all.
    Turns(size_t total, size_t each) : state_(std::make_shared<State>(total, each)) {}

  private:
    struct Waiter {
        explicit Waiter(const asio::any_io_executor& executor) : granted(executor) {}
        Event granted;
    };
    struct Lane {
        size_t taken = 0;
        std::deque<std::shared_ptr<Waiter>> waiting;
    };
    struct State {
        State(size_t its_total, size_t its_each) : total(its_total), each(its_each) {}
        [[nodiscard]] bool may_go(const std::string& customer, const Lane& lane) const;
        void serve();
        void give_back(const std::string& customer);
        void leave(const std::string& customer, const std::shared_ptr<Waiter>& waiter);

        const size_t total;
        const size_t each;
        size_t taken = 0;
        std::map<std::string, Lane> lanes;  ///< by customer; those who have or want something
        std::string last;                   ///< who was let in last
    };

  public:
    /// The use of one, until this ends.
    class Turn {
      public:
        Turn(std::shared_ptr<State> state, std::string customer)
            : state_(std::move(state)), customer_(std::move(customer)) {}
        Turn(Turn&&) = default;
        Turn(const Turn&) = delete;
        Turn& operator=(Turn&&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() {
            if (state_) state_->give_back(customer_);
        }

      private:
        std::shared_ptr<State> state_;
        std::string customer_;
    };

    /// Waits for one. Who is cancelled meanwhile has none.
    Task<Turn> take(std::string customer);

  private:
    std::shared_ptr<State> state_;
};

}  // namespace hutch::daemon
