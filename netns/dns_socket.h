#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/unique_fd.h"
#include "netns/address.h"
#include "netns/dns_judge.h"
#include "netns/upstreams.h"

namespace hutch::netns {

/// What both doors of the DNS forwarder, UDP and TCP, stand on. All sockets are non-blocking.

using Clock = std::chrono::steady_clock;
/// One try with one server. Three, the most there are, fit into the 5 s that a libc waits for an answer.
constexpr std::chrono::milliseconds kDnsTry{1500};

/// A socket bound to the gateway address, which the host has only while it has a slot (hence IP_FREEBIND).
/// `type`: SOCK_DGRAM or SOCK_STREAM.
Result<UniqueFd> gateway_socket(int type, Ipv4 gateway, uint16_t port);
/// A socket from a random port to a name server: the kernel drops what comes from anywhere else. A stream's connection
/// is under way when this returns.
Result<UniqueFd> upstream_socket(int type, const Upstream& server);

/// An unpredictable id of a query; without it (which does not happen after boot) there is no query.
std::optional<uint16_t> random_dns_id();

/// Is told what the name server does for boxes; on its thread, so it must not wait.
class DnsWatcher {
  public:
    virtual ~DnsWatcher() = default;
    /// `question`: as parse_query() gives it.
    virtual void refused(Ipv4 box, std::string_view question) = 0;
    /// A server's answer to that question, which is_answer() has accepted, goes to the box.
    virtual void answered(Ipv4 box, std::string_view question, std::string_view packet) = 0;
};

/// Who may ask: boxes. Others reach the gateway address only past the firewall.
struct DnsClients {
    Prefix range;
    Ipv4 gateway;
    DnsJudge& judge;
    DnsWatcher* watcher = nullptr;  ///< may be none
    [[nodiscard]] bool contains(Ipv4 address) const { return range.contains(address) && address != gateway; }
};

/// How much of a shared table one box may hold, and who gives way when all of it is held.
class SourceLimit {
  public:
    explicit SourceLimit(unsigned limit) : limit_(limit) {}
    [[nodiscard]] unsigned held(Ipv4 source) const {
        const auto held = held_.find(source.value);
        return held == held_.end() ? 0 : held->second;
    }
    [[nodiscard]] bool full(Ipv4 source) const { return held(source) >= limit_; }
    /// The box that holds most, if that is more than `source` holds.
    [[nodiscard]] std::optional<Ipv4> who_gives_way_to(Ipv4 source) const {
        const auto most = std::max_element(held_.begin(), held_.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        if (most == held_.end() || most->second <= held(source)) return std::nullopt;
        return Ipv4{most->first};
    }
    void enter(Ipv4 source) { ++held_[source.value]; }
    void leave(Ipv4 source) {
        const auto held = held_.find(source.value);
        if (--held->second == 0) held_.erase(held);
    }

  private:
    unsigned limit_;
    std::unordered_map<uint32_t, unsigned> held_;
};

}  // namespace hutch::netns
