#pragma once

#include <sys/epoll.h>

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::netns {

/// An epoll(7) set of sockets, known by their numbers. Level-triggered.
class Poller {
  public:
    static Result<Poller> open();

    Result<void> add(int fd, uint32_t events);
    void change(int fd, uint32_t events);
    /// Before closing `fd`: a child that is between fork and exec would keep its entry alive.
    void remove(int fd);
    /// What is ready now, without waiting.
    [[nodiscard]] std::vector<epoll_event> ready() const;
    /// Readable while something is ready: poll sets nest.
    [[nodiscard]] int fd() const { return epoll_.get(); }

  private:
    explicit Poller(UniqueFd epoll) : epoll_(std::move(epoll)) {}
    UniqueFd epoll_;
};

}  // namespace hutch::netns
