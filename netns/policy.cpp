#include "netns/policy.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "netns/domain.h"
#include "netns/firewall.h"
#include "netns/nft.h"

namespace hutch::netns {
namespace {

constexpr const char* kSets[] = {"policed", "allowed", "denied", "relayed", "named"};

// Of a set: as nft(8) writes it, and as the kernel keeps it; those of `policed`, `relayed` and `named` are no ranges.
struct Element {
    std::string text;
    std::string first, last;
    bool operator<(const Element& other) const { return text < other.text; }
};

Element element_of(Ipv4 box, const std::string& network, Ipv4 first, Ipv4 last) {
    return {to_string(box) + " . " + network, wire(box) + wire(first), wire(box) + wire(last)};
}

// A field of a concatenation fills whole words (nft_set.h).
Element element_of(Ipv4 box, uint16_t port) {
    const char bytes[] = {static_cast<char>(port >> 8), static_cast<char>(port & 0xff), 0, 0};
    return {to_string(box) + " . " + std::to_string(port), wire(box) + std::string(bytes, sizeof(bytes)), ""};
}

using Elements = std::map<std::string, std::set<Element>>;  // by set

Elements elements_of(Ipv4 box, const Policy& policy) {
    Elements elements;
    for (const uint16_t port : policy.relayed) elements["relayed"].insert(element_of(box, port));
    if (policy.admits_all()) return elements;
    elements["policed"].insert({to_string(box), wire(box), ""});
    const auto insert = [&](const char* set, const std::vector<Prefix>& networks) {
        for (const Prefix& network : outermost(networks)) {
            elements[set].insert(element_of(box, to_string(network), network.base, network.last()));
        }
    };
    if (policy.by_name()) elements["named"].insert({to_string(box), wire(box), ""});
    insert("denied", policy.denied);
    if (policy.open) {
        elements["allowed"].insert(element_of(box, "0.0.0.0/0", {0}, {UINT32_MAX}));
    } else {
        insert("allowed", policy.allowed);
    }
    return elements;
}

// Of one set: what goes, or what comes.
struct Step {
    bool adds;
    std::string set;
    std::vector<Element> elements;
};

std::vector<Step> steps_between(Elements before, Elements after) {
    std::vector<Step> steps;
    for (const bool adds : {false, true}) {
        for (const char* set : kSets) {
            const auto& [from, but] = adds ? std::tie(after[set], before[set]) : std::tie(before[set], after[set]);
            Step step{adds, set, {}};
            std::set_difference(from.begin(), from.end(), but.begin(), but.end(), std::back_inserter(step.elements));
            if (!step.elements.empty()) steps.push_back(std::move(step));
        }
    }
    return steps;
}

}  // namespace

bool Policy::relays(uint16_t port) const {
    return std::find(relayed.begin(), relayed.end(), port) != relayed.end();
}

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
    std::string commands;
    for (const Step& step : steps_between(elements_of(box, old), elements_of(box, wanted))) {
        std::string list;
        for (const Element& element : step.elements) list += (list.empty() ? "" : ", ") + element.text;
        commands += std::string(step.adds ? "add" : "delete") + " element inet " + config.table + " " + step.set +
                    " { " + list + " }\n";
    }
    return commands;
}

NftBatch policy_batch(const Config& config, Ipv4 box, const Policy& old, const Policy& wanted) {
    NftBatch batch(config.table);
    for (const Step& step : steps_between(elements_of(box, old), elements_of(box, wanted))) {
        const auto change = step.adds ? &NftBatch::add_element : &NftBatch::delete_element;
        for (const Element& element : step.elements) {
            (batch.*change)(step.set, element.text, element.first, element.last);
        }
    }
    return batch;
}

Result<std::unique_ptr<Policies>> Policies::load(const Config& config, std::map<Ipv4, Policy> policies) {
    TRY(check(config));  // its names go into the text
    std::vector<Ipv4> boxes;
    for (const auto& [box, policy] : policies) boxes.push_back(box);
    std::erase_if(policies, [](const auto& entry) { return entry.second.is_default(); });
    std::unique_ptr<Policies> loaded(new Policies(config, TRY(nft_socket()), std::move(policies)));
    loaded->loaded_with_ = std::move(boxes);
    loaded->found_table_ = TRY(nft_has_table(loaded->socket_.get(), config.table));
    const std::lock_guard lock(loaded->transaction_);
    TRY_IN("loading the firewall", loaded->load(loaded->whole()));
    return loaded;
}

Result<void> Policies::set(Ipv4 box, const Policy& policy) {
    const std::lock_guard lock(transaction_);
    const Policy old = of(box);
    if (!commit(policy_batch(config_, box, old, policy)).ok()) {
        // Others may have removed the table, or elements of it.
        TRY_IN("setting the network policy of " + to_string(box),
               load(whole() + policy_commands(config_, box, old, policy)));
        ++restored_;
    }
    std::function<void(Ipv4)> heard;
    {
        const std::lock_guard books(mutex_);
        heard = heard_;
        if (policy.is_default()) {
            policies_.erase(box);
        } else {
            policies_[box] = policy;
        }
    }
    if (!policy.by_name()) learned_.forget(box);
    if (heard) heard(box);
    return {};
}

// `change` answers by which thread or process the transaction was made.
template <typename Change>
Result<void> Policies::remember(Change change) {
    constexpr size_t kRemembered = 1024;
    const uint32_t before = TRY(nft_generation(socket_.get()));
    const pid_t by = TRY(change());
    const uint32_t after = TRY(nft_generation(socket_.get()));
    commits_.push_back({before, after, static_cast<uint32_t>(by)});
    if (commits_.size() > kRemembered) commits_.pop_front();
    return {};
}

Result<void> Policies::commit(const NftBatch& batch) {
    if (batch.messages().empty()) return {};
    return remember([&]() -> Result<pid_t> {
        TRY(nft_commit(socket_.get(), batch.messages()));
        return gettid();
    });
}

Result<void> Policies::load(const std::string& commands) {
    return remember([&]() -> Result<pid_t> {
        pid_t by = -1;
        TRY(run_nft(commands, &by));
        return by;
    });
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
    TRY_IN("restoring the firewall", load(whole()));
    ++restored_;
    return {};
}

void Policies::on_change(std::function<void(Ipv4)> heard) {
    const std::lock_guard lock(mutex_);
    heard_ = std::move(heard);
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

MayAsk Policies::may_ask(Ipv4 box) const {
    const std::lock_guard lock(mutex_);
    const auto found = policies_.find(box);
    if (found == policies_.end() || found->second.open) return MayAsk::kEverything;
    return found->second.by_name() ? MayAsk::kListed : MayAsk::kNothing;
}

bool Policies::lists(Ipv4 box, std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = policies_.find(box);
    return found != policies_.end() && found->second.by_name() && is_listed(found->second.domains, name);
}

}  // namespace hutch::netns
