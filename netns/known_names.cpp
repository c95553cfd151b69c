#include "netns/known_names.h"

#include <algorithm>

namespace hutch::netns {

void KnownNames::learn(Ipv4 box, Ipv4 address, const std::string& name) {
    const std::lock_guard lock(mutex_);
    OfBox& its = boxes_[box];
    if (const auto known = its.names.find(address); known != its.names.end()) {
        known->second = name;
        return;
    }
    if (its.names.size() >= kMostPerBox) {
        drop_oldest(its);
    } else if (kept_ >= kMost) {
        const auto most = std::max_element(boxes_.begin(), boxes_.end(), [](const auto& a, const auto& b) {
            return a.second.names.size() < b.second.names.size();
        });
        drop_oldest(most->second);
    }
    its.names.emplace(address, name);
    its.by_age.push_back(address);
    ++kept_;
}

void KnownNames::drop_oldest(OfBox& box) {
    box.names.erase(box.by_age.front());
    box.by_age.pop_front();
    --kept_;
}

std::string KnownNames::name_of(Ipv4 box, Ipv4 address) const {
    const std::lock_guard lock(mutex_);
    const auto its = boxes_.find(box);
    if (its == boxes_.end()) return "";
    const auto known = its->second.names.find(address);
    return known == its->second.names.end() ? "" : known->second;
}

void KnownNames::forget(Ipv4 box) {
    const std::lock_guard lock(mutex_);
    const auto its = boxes_.find(box);
    if (its == boxes_.end()) return;
    kept_ -= its->second.names.size();
    boxes_.erase(its);
}

}  // namespace hutch::netns
