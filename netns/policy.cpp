#include "netns/policy.h"

#include <algorithm>
#include <set>

#include "netns/firewall.h"
#include "netns/nft.h"

namespace hutch::netns {
namespace {

constexpr const char* kSets[] = {"policed", "allowed", "denied"};
using Elements = std::map<std::string, std::set<std::string>>;  // by set

// The kernel refuses an element that lies within another (nft_set_pipapo.c), so only the outer ones are told.
std::vector<Prefix> outermost(std::vector<Prefix> networks) {
    std::sort(networks.begin(), networks.end(), [](const Prefix& a, const Prefix& b) {
        return a.base != b.base ? a.base < b.base : a.length < b.length;
    });
    std::vector<Prefix> kept;
    for (const Prefix& network : networks) {
        if (kept.empty() || !kept.back().contains(network.base)) kept.push_back(network);
    }
    return kept;
}

Elements elements_of(Ipv4 box, const Policy& policy) {
    Elements elements;
    if (policy.is_default()) return elements;
    const std::string address = to_string(box);
    elements["policed"].insert(address);
    for (const Prefix& network : outermost(policy.denied)) {
        elements["denied"].insert(address + " . " + to_string(network));
    }
    if (policy.open) {
        elements["allowed"].insert(address + " . 0.0.0.0/0");
    } else {
        for (const Prefix& network : outermost(policy.allowed)) {
            elements["allowed"].insert(address + " . " + to_string(network));
        }
    }
    return elements;
}

std::string command(const char* verb, const Config& config, const char* set, const std::set<std::string>& elements,
                    const std::set<std::string>& but) {
    std::string list;
    for (const std::string& element : elements) {
        if (!but.contains(element)) list += (list.empty() ? "" : ", ") + element;
    }
    if (list.empty()) return {};
    return std::string(verb) + " element inet " + config.table + " " + set + " { " + list + " }\n";
}

}  // namespace

Result<std::vector<Prefix>> parse_network(const std::string& text) {
    if (text == "0.0.0.0/0") return std::vector<Prefix>{{{0}, 1}, {{0x80000000}, 1}};
    if (text.find('/') == std::string::npos) return std::vector<Prefix>{{TRY(parse_ipv4(text)), 32}};
    return std::vector<Prefix>{TRY(parse_prefix(text))};
}

std::string policy_commands(const Config& config, Ipv4 box, const Policy& old, const Policy& wanted) {
    Elements before = elements_of(box, old);
    Elements after = elements_of(box, wanted);
    std::string commands;
    for (const char* set : kSets) commands += command("delete", config, set, before[set], after[set]);
    for (const char* set : kSets) commands += command("add", config, set, after[set], before[set]);
    return commands;
}

Result<std::unique_ptr<Policies>> Policies::load(const Config& config, std::map<Ipv4, Policy> policies) {
    TRY(check(config));  // its names go into the text
    std::erase_if(policies, [](const auto& entry) { return entry.second.is_default(); });
    std::string text = ruleset(config);
    for (const auto& [box, policy] : policies) text += policy_commands(config, box, {}, policy);
    TRY_IN("loading the firewall", run_nft(text));
    return std::unique_ptr<Policies>(new Policies(config, std::move(policies)));
}

Result<void> Policies::set(Ipv4 box, const Policy& policy) {
    const std::lock_guard lock(mutex_);
    const auto found = policies_.find(box);
    const Policy old = found == policies_.end() ? Policy{} : found->second;
    const std::string commands = policy_commands(config_, box, old, policy);
    if (!commands.empty()) TRY_IN("setting the network policy of " + to_string(box), run_nft(commands));
    if (policy.is_default()) {
        policies_.erase(box);
    } else {
        policies_[box] = policy;
    }
    return {};
}

Result<void> Policies::keep_only(const std::vector<Ipv4>& boxes) {
    std::vector<Ipv4> others;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [box, policy] : policies_) {
            if (std::find(boxes.begin(), boxes.end(), box) == boxes.end()) others.push_back(box);
        }
    }
    for (const Ipv4 box : others) TRY(lift(box));
    return {};
}

bool Policies::may_resolve(Ipv4 box) const {
    const std::lock_guard lock(mutex_);
    const auto found = policies_.find(box);
    return found == policies_.end() || found->second.open;
}

}  // namespace hutch::netns
