#include "netns/policy.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "netns/firewall.h"
#include "netns/nft.h"

namespace hutch::netns {
namespace {

constexpr const char* kSets[] = {"policed", "allowed", "denied"};
using Elements = std::map<std::string, std::set<std::string>>;  // by set

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
    std::vector<Ipv4> boxes;
    for (const auto& [box, policy] : policies) boxes.push_back(box);
    std::erase_if(policies, [](const auto& entry) { return entry.second.is_default(); });
    std::unique_ptr<Policies> loaded(new Policies(config, TRY(nft_socket()), std::move(policies)));
    loaded->loaded_with_ = std::move(boxes);
    loaded->found_table_ = TRY(list_rules(config.table)).has_value();
    const std::lock_guard lock(loaded->transaction_);
    TRY_IN("loading the firewall", loaded->commit(loaded->whole()));
    return loaded;
}

Result<void> Policies::set(Ipv4 box, const Policy& policy) {
    const std::lock_guard lock(transaction_);
    const Policy old = of(box);
    const std::string commands = policy_commands(config_, box, old, policy);
    if (!commands.empty() && !commit(commands).ok()) {
        // Others may have removed the table, or elements of it.
        TRY_IN("setting the network policy of " + to_string(box),
               commit(whole() + policy_commands(config_, box, old, policy)));
        ++restored_;
    }
    const std::lock_guard books(mutex_);
    if (policy.is_default()) {
        policies_.erase(box);
    } else {
        policies_[box] = policy;
    }
    return {};
}

Result<void> Policies::commit(const std::string& commands) {
    constexpr size_t kRemembered = 1024;
    const uint32_t before = TRY(nft_generation(socket_.get()));
    TRY(run_nft(commands));
    const uint32_t after = TRY(nft_generation(socket_.get()));
    commits_.push_back({before, after, static_cast<uint32_t>(gettid())});
    if (commits_.size() > kRemembered) commits_.pop_front();
    return {};
}

std::string Policies::whole() const {
    std::string text = ruleset(config_);
    const std::lock_guard books(mutex_);
    for (const auto& [box, policy] : policies_) text += policy_commands(config_, box, {}, policy);
    return text;
}

bool Policies::made(const NftCommit& commit) const {
    const std::lock_guard lock(transaction_);
    return std::any_of(commits_.begin(), commits_.end(), [&](const Commit& ours) {
        const bool within = commit.generation - ours.before - 1 < ours.after - ours.before;  // the number goes round
        return within && (ours.after - ours.before == 1 || commit.thread == ours.thread);
    });
}

Result<void> Policies::restore() {
    const std::lock_guard lock(transaction_);
    TRY_IN("restoring the firewall", commit(whole()));
    ++restored_;
    return {};
}

Policy Policies::of(Ipv4 box) const {
    const std::lock_guard lock(mutex_);
    const auto found = policies_.find(box);
    return found == policies_.end() ? Policy{} : found->second;
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
