#include "netns/learned.h"

#include <algorithm>

namespace hutch::netns {

void Learned::learn(Ipv4 box, Ipv4 address, const std::string& name, Clock::time_point until) {
    const std::lock_guard lock(mutex_);
    OfBox& of = boxes_[box];
    const auto [found, is_new] = of.by_address.try_emplace({address, name});
    if (is_new) {
        of.by_age.push_back({address, name, until});
        found->second = std::prev(of.by_age.end());
    } else {  // an answer before may have been for longer
        found->second->until = std::max(found->second->until, until);
        of.by_age.splice(of.by_age.end(), of.by_age, found->second);
    }
    if (of.by_age.size() <= kMostPerBox) return;
    of.by_address.erase({of.by_age.front().address, of.by_age.front().name});
    of.by_age.pop_front();
}

std::vector<std::string> Learned::names_of(Ipv4 box, Ipv4 address, Clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    const auto of = boxes_.find(box);
    if (of == boxes_.end()) return names;
    const auto& entries = of->second.by_address;
    for (auto at = entries.lower_bound({address, ""}); at != entries.end() && at->first.first == address; ++at) {
        if (at->second->until > now) names.push_back(at->first.second);
    }
    return names;
}

void Learned::forget(Ipv4 box) {
    const std::lock_guard lock(mutex_);
    boxes_.erase(box);
}

}  // namespace hutch::netns
