#include "netns/poller.h"

namespace hutch::netns {

Result<Poller> Poller::open() {
    UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return errno_error("making an epoll set");
    return Poller(std::move(epoll));
}

Result<void> Poller::add(int fd, uint32_t events) {
    epoll_event entry{events, {}};
    entry.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &entry) != 0) return errno_error("watching a socket");
    return {};
}

void Poller::change(int fd, uint32_t events) {
    epoll_event entry{events, {}};
    entry.data.fd = fd;
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &entry);
}

void Poller::remove(UniqueFd fd) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
    removed_.push_back(std::move(fd));
}

std::vector<epoll_event> Poller::ready() const {
    constexpr int kAtOnce = 64;
    std::vector<epoll_event> events(kAtOnce);
    const int count = epoll_wait(epoll_.get(), events.data(), kAtOnce, 0);
    events.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return events;
}

}  // namespace hutch::netns
