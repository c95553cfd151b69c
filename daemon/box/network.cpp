#include "daemon/box/network.h"

#include <algorithm>

namespace hutch::daemon {
namespace {

// The door has checked them: one that is none after all only makes the policy narrower, or is no network to deny.
std::vector<netns::Prefix> networks_of(const std::vector<std::string>& texts) {
    std::vector<netns::Prefix> networks;
    for (const std::string& text : texts) {
        const auto network = netns::parse_network(text);
        if (network.ok()) networks.insert(networks.end(), network.value().begin(), network.value().end());
    }
    return networks;
}

netns::Policy policy_of(const NetworkPolicy& policy) {
    switch (policy.mode) {
        case NetworkMode::kAllowAll:
            return {};
        case NetworkMode::kCustom: {
            const auto& allowed = policy.allowed_cidrs;
            const bool lists = !allowed.empty() || !policy.allowed_domains.empty();
            const bool open = !lists || std::find(allowed.begin(), allowed.end(), "0.0.0.0/0") != allowed.end();
            return {.open = open,
                    .allowed = networks_of(allowed),
                    .denied = networks_of(policy.denied_cidrs),
                    .domains = policy.allowed_domains};
        }
        case NetworkMode::kDenyAll:
            break;
    }
    return {.open = false, .allowed = {}, .denied = {}};
}

}  // namespace

netns::Policy firewall_policy(const BoxRecord& box) {
    constexpr uint16_t kHttps = 443;
    netns::Policy policy = policy_of(box.network);
    if (box.attaches) policy.relayed.push_back(kHttps);
    return policy;
}

std::map<netns::Ipv4, netns::Policy> firewall_policies(const std::vector<BoxRecord>& boxes) {
    std::map<netns::Ipv4, netns::Policy> policies;
    for (const BoxRecord& box : boxes) {
        if (box.address != 0 && box.init_pid != 0) policies[netns::Ipv4{box.address}] = firewall_policy(box);
    }
    return policies;
}

}  // namespace hutch::daemon
