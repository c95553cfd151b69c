#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "netns/firewall.h"
#include "netns/host.h"
#include "netns/namespace.h"
#include "netns/netlink.h"
#include "netns/nft.h"
#include "netns/recover.h"
#include "netns/routes.h"
#include "netns/slot.h"
#include "netns/veth.h"

namespace hutch::netns {

inline Ipv4 ip(const std::string& text) {
    return parse_ipv4(text).value();
}

/// How long an event that must come may take to come. Nothing waits that long unless it is about to fail.
constexpr int kPatienceMs = 5000;
/// On the host's side of a link, where these tests alone listen.
constexpr uint16_t kPort = 8097;

inline bool readable(int fd, int wait_ms = kPatienceMs) {
    pollfd entry{fd, POLLIN, 0};
    return poll(&entry, 1, wait_ms) == 1;
}

/// The value; without it the test ends as failed.
template <typename T>
T must(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message);
    return std::move(result).value();
}

inline void must(Result<void> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message);
}

/// A UDP or listening TCP socket bound inside a namespace (-1: the host's).
inline UniqueFd bound_socket(int netns, int type, Ipv4 address, uint16_t port) {
    const auto make = [&]() -> Result<UniqueFd> {
        UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const sockaddr_in name = socket_address(address, port);
        const int on = 1;
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) return errno_error("bind");
        if (type == SOCK_STREAM && listen(fd.get(), 8) != 0) return errno_error("listen");
        return fd;
    };
    return must(netns < 0 ? make() : run_inside(netns, make));
}

inline UniqueFd plain_socket(int netns, int domain, int type, int protocol = 0) {
    return must(run_inside(netns, [&]() -> Result<UniqueFd> {
        UniqueFd fd(socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
        if (!fd) return errno_error("socket");
        return fd;
    }));
}

inline bool send_to(const UniqueFd& fd, Ipv4 address, uint16_t port, std::string_view text) {
    const sockaddr_in name = socket_address(address, port);
    return sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) ==
           static_cast<ssize_t>(text.size());
}

/// 0, or why not; EINPROGRESS while nobody has answered.
inline int connect_to(const UniqueFd& fd, Ipv4 address, uint16_t port) {
    const sockaddr_in name = socket_address(address, port);
    return connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 ? 0 : errno;
}

struct Datagram {
    std::string text;
    Ipv4 from;
    uint16_t port = 0;
};

inline std::optional<Datagram> receive(const UniqueFd& fd, int wait_ms = kPatienceMs) {
    if (!readable(fd.get(), wait_ms)) return std::nullopt;
    char buffer[4096];
    sockaddr_in from{};
    socklen_t length = sizeof(from);
    const ssize_t size = recvfrom(fd.get(), buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0) return std::nullopt;
    return Datagram{{buffer, static_cast<size_t>(size)}, address_of(from), ntohs(from.sin_port)};
}

inline std::vector<Request> one(Result<Request> request) {
    std::vector<Request> requests;
    requests.push_back(must(std::move(request)));
    return requests;
}

/// Gives the outside namespace one more address, and the host a route to it.
inline void add_outside_address(const Slot& outside, Ipv4 address) {
    must(run_inside(outside.netns.get(), [&]() -> Result<void> {
        Netlink inside = TRY(Netlink::open());
        return inside.apply(one(add_address(TRY(inside.link_index("eth0")), address)));
    }));
    Netlink host = must(Netlink::open());
    const int link = must(host.link_index(outside.link));
    must(host.apply(one(add_link_route(link, address))));
    must(host.apply(one(add_neighbour(link, address, mac_of(outside.address)))));
}

/// Boxes' slots behind the whole firewall, and an "outside": a namespace that has 198.51.100.2 and stands for the
/// Internet. Names and ranges are the test's own, so that a daemon on the same host is not disturbed.
class NetnsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        // One CPU: a packet's whole way through veths then ends before the call that sent it does.
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<size_t>(sched_getcpu()), &one);
        ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);

        config_.table = "hutchtest";
        config_.link_prefix = "htest";
        config_.range = parse_prefix("198.19.240.0/20").value();
        outside_config_.link_prefix = "hout";
        outside_config_.range = parse_prefix("198.51.100.0/24").value();
        // The outside has a table, too, which is removed at once: its name is the test's own.
        outside_config_.table = "hutchtest";
        clean();
        changed_forwarding_ = must(enable_forwarding());
        const auto loaded = load_firewall(config_);
        ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    }
    void TearDown() override {
        if (IsSkipped()) return;
        clean();
        if (changed_forwarding_) must(write_value_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0"));
    }
    void clean() {
        must(recover(config_, {}));
        must(recover(outside_config_, {}));
        must(remove_firewall(config_));
    }

    /// As a box gets it.
    Slot whole_slot(uint32_t number) { return must(make_slot(config_, {config_.range.base.value + number})); }
    /// Without the firewall inside, behind which that of the host could not be shown to do anything.
    Slot slot(uint32_t number) {
        Slot slot = whole_slot(number);
        must(run_inside(slot.netns.get(), [&] { return remove_firewall(config_); }));
        return slot;
    }
    Slot outside() {
        Slot outside = must(make_slot(outside_config_, kOutside));
        must(run_inside(outside.netns.get(), [&] { return remove_firewall(outside_config_); }));
        return outside;
    }

    /// The positive control: loads the firewall without the rules that contain one of these texts.
    void weaken(const std::vector<std::string>& rules) {
        std::string text;
        std::istringstream lines(ruleset(config_));
        for (std::string line; std::getline(lines, line);) {
            const bool removed = std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
                return line.find(rule) != std::string::npos;
            });
            if (!removed) text += line + "\n";
        }
        must(run_nft(text));
    }

    /// Packets dropped by the rule of this name, or by all.
    uint64_t drops(const std::string& name = "") {
        return count(must(run_nft("list counters table inet " + config_.table)), name);
    }
    static uint64_t count(const std::string& listing, const std::string& name) {
        std::istringstream words(listing);
        uint64_t sum = 0;
        std::string current;
        for (std::string word; words >> word;) {
            if (word == "counter") words >> current;
            uint64_t packets = 0;
            if (word == "packets" && words >> packets && (name.empty() || name == current)) sum += packets;
        }
        return sum;
    }

    /// What became of the packet that `send` sends to `receiver`: the counters say that a rule dropped it, or it comes.
    template <typename Send>
    bool arrives(const UniqueFd& receiver, const std::string& rule, Send send) {
        const uint64_t before = drops();
        const uint64_t before_rule = drops(rule);
        send();
        if (drops() == before) {
            EXPECT_TRUE(readable(receiver.get())) << "neither dropped by a rule nor there";
            return true;
        }
        EXPECT_GT(drops(rule), before_rule) << "dropped, but by another rule than " << rule;
        EXPECT_FALSE(readable(receiver.get(), 0)) << "dropped and there";
        return false;
    }

    bool udp_arrives(const Slot& from, const UniqueFd& receiver, Ipv4 to, uint16_t port, const std::string& rule) {
        const UniqueFd sender = plain_socket(from.netns.get(), AF_INET, SOCK_DGRAM);
        const bool there = arrives(receiver, rule, [&] { send_to(sender, to, port, "probe"); });
        if (there) receive(receiver);
        return there;
    }
    bool tcp_arrives(const Slot& from, const UniqueFd& listener, Ipv4 to, uint16_t port, const std::string& rule) {
        const UniqueFd client = plain_socket(from.netns.get(), AF_INET, SOCK_STREAM);
        const bool there = arrives(listener, rule, [&] { connect_to(client, to, port); });
        if (there) UniqueFd(accept(listener.get(), nullptr, nullptr));
        return there;
    }

    static constexpr Ipv4 kOutsideGateway{0xC6336401};  // the host's own address on the way outside
    static constexpr Ipv4 kOutside{0xC6336402};
    Config config_;
    Config outside_config_;

  private:
    bool changed_forwarding_ = false;
};

/// Sees links of the host come and go.
class LinkMonitor {
  public:
    LinkMonitor() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
        sockaddr_nl name{};
        name.nl_family = AF_NETLINK;
        name.nl_groups = 1;  // RTMGRP_LINK
        const int size = 8 << 20;
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    }
    /// Waits until links with this prefix have been deleted `count` times; how many were, when patience ends.
    size_t wait_deleted(const std::string& prefix, size_t count);

  private:
    UniqueFd fd_;
};

}  // namespace hutch::netns
