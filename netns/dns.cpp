#include "netns/dns.h"

#include <sys/timerfd.h>

#include <algorithm>

#include "netns/dns_message.h"

namespace hutch::netns {

DnsForwarder::DnsForwarder(Poller poller, UniqueFd timer, const Config& config, const DnsClients& clients)
    : poller_(std::move(poller)),
      timer_(std::move(timer)),
      upstreams_(config.resolv_conf),
      udp_(poller_, upstreams_, clients),
      tcp_(poller_, upstreams_, clients) {}

Result<std::unique_ptr<DnsForwarder>> DnsForwarder::open(const Config& config, DnsJudge& judge, DnsWatcher* watcher) {
    Poller poller = TRY(Poller::open());
    UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!timer) return errno_error("making the timer of the DNS forwarder");
    TRY(poller.add(timer.get(), EPOLLIN));
    const DnsClients clients{config.range, config.gateway(), judge, watcher};
    std::unique_ptr<DnsForwarder> forwarder(new DnsForwarder(std::move(poller), std::move(timer), config, clients));
    TRY(forwarder->udp_.listen(kDnsPort));
    TRY(forwarder->tcp_.listen(kDnsPort));
    return forwarder;
}

void DnsForwarder::on_ready() {
    const auto now = Clock::now();
    for (const epoll_event& event : poller_.ready()) {
        // The timer needs no reading: setting it clears it. A socket removed earlier in this round belongs to nobody.
        if (!udp_.on_ready(event.data.fd, now)) tcp_.on_ready(event.data.fd, event.events, now);
    }
    poller_.end_round();
    udp_.expire(now);
    tcp_.expire(now);
    poller_.end_round();
    set_timer();
}

void DnsForwarder::set_timer() {
    auto first = udp_.deadline();
    if (const auto other = tcp_.deadline(); other) first = first ? std::min(*first, *other) : *other;
    itimerspec at{};  // zero: off
    if (first) {
        const auto since = first->time_since_epoch();  // of CLOCK_MONOTONIC, as steady_clock is
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
        at.it_value.tv_sec = seconds.count();
        at.it_value.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
    }
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

}  // namespace hutch::netns
