#pragma once

#include <sys/epoll.h>

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::netns {

/// An epoll(7) set of sockets, known by their numbers. Level-triggered. A socket that goes while a round of events is
/// worked through keeps its number until the round is over: an event of it that is still to come must not be taken for
/// one of a new socket.
class Poller {
  public:
    static Result<Poller> open();

    Result<void> add(int fd, uint32_t events);
    void change(int fd, uint32_t events);
    /// Watches it no more: a child that is between fork and exec would keep its entry alive. Closed at end_round().
    void remove(UniqueFd fd);
    /// What is ready now, without waiting: a round.
    [[nodiscard]] std::vector<epoll_event> ready() const;
    void end_round() { removed_.clear(); }
    /// Readable while something is ready: poll sets nest.
    [[nodiscard]] int fd() const { return epoll_.get(); }

  private:
    explicit Poller(UniqueFd epoll) : epoll_(std::move(epoll)) {}
    UniqueFd epoll_;
    std::vector<UniqueFd> removed_;
};

}  // namespace hutch::netns
