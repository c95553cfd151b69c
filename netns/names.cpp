#include "netns/names.h"

#include <algorithm>
#include <chrono>

#include "netns/domain.h"
#include "netns/firewall.h"
#include "netns/own_address.h"

namespace hutch::netns {
namespace {

// What a box is told may be kept for as long, and holds for a little longer: who has asked at its end connects then.
constexpr uint32_t kLongestSeconds = 3600;
constexpr std::chrono::seconds kGrace{60};

bool within(const std::vector<Prefix>& networks, Ipv4 address) {
    return std::any_of(networks.begin(), networks.end(),
                       [address](const Prefix& network) { return network.contains(address); });
}

}  // namespace

Names::Names(const Config& config, Policies& policies, OnClosed on_closed)
    : policies_(policies), closed_(blocked_networks(config)), on_closed_(std::move(on_closed)) {}

MayAsk Names::may_ask(Ipv4 box) const {
    return policies_.may_ask(box);
}

bool Names::lists(Ipv4 box, const std::string& name) const {
    return policies_.lists(box, name);
}

// A name's server may answer what it likes, another thing each time: an address counts for what it is.
std::vector<DnsAddress> Names::learn(Ipv4 box, const std::string& name, std::vector<DnsAddress> answered) {
    const Policy policy = policies_.of(box);
    if (!policy.by_name() || !is_listed(policy.domains, name)) return {};
    std::vector<DnsAddress> told;
    const auto now = Clock::now();
    Egress rule = Egress::kDenied;
    for (DnsAddress& address : answered) {
        if (told.size() == kMostAnswered) break;
        const bool is_closed = closed(address.address);
        if (is_closed) rule = Egress::kClosed;
        if (is_closed || within(policy.denied, address.address)) continue;
        address.seconds = std::min(address.seconds, kLongestSeconds);
        policies_.learned().learn(box, address.address, name, now + std::chrono::seconds(address.seconds) + kGrace);
        told.push_back(address);
    }
    if (told.empty() && !answered.empty() && on_closed_) on_closed_(box, name, rule);
    return told;
}

// What this host sends to itself passes by the firewall's closed networks.
bool Names::closed(Ipv4 server) const {
    if (within(closed_, server)) return true;
    const sockaddr_in name = socket_address(server, 0);
    const auto own = is_own_address(reinterpret_cast<const sockaddr&>(name));
    return !own.ok() || own.value();
}

std::vector<std::string> Names::led_to(Ipv4 box, Ipv4 server) const {
    return policies_.learned().names_of(box, server, Clock::now());
}

Egress Names::judge(Ipv4 box, Ipv4 server, const std::vector<std::string>& led) const {
    const Policy policy = policies_.of(box);
    if (closed(server)) return Egress::kClosed;
    if (within(policy.denied, server)) return Egress::kDenied;
    if (policy.open || within(policy.allowed, server)) return Egress::kPasses;
    const auto is_listed_now = [&policy](const std::string& name) { return is_listed(policy.domains, name); };
    return std::any_of(led.begin(), led.end(), is_listed_now) ? Egress::kPasses : Egress::kNotAllowed;
}

Egress Names::judge(Ipv4 box, Ipv4 server, const std::vector<std::string>& led, std::string_view name) const {
    const Egress by_address = judge(box, server, led);
    return by_address == Egress::kPasses ? judge_name(box, server, led, name) : by_address;
}

Egress Names::judge_name(Ipv4 box, Ipv4 server, const std::vector<std::string>& led, std::string_view name) const {
    const Policy policy = policies_.of(box);
    if (policy.open || within(policy.allowed, server)) return Egress::kPasses;
    if (name.empty()) return Egress::kNoName;
    const auto told = host_name(name);
    const bool leads =
        told && is_listed(policy.domains, *told) && std::find(led.begin(), led.end(), *told) != led.end();
    return leads ? Egress::kPasses : Egress::kOtherName;
}

}  // namespace hutch::netns
