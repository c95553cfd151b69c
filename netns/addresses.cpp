#include "netns/addresses.h"

#include <algorithm>

namespace hutch::netns {

constexpr uint32_t kNotAssignable = 3;  // network, gateway, broadcast

Addresses::Addresses(const Prefix& range, uint32_t start)
    : first_(range.base.value + 2),
      count_(range.size() - kNotAssignable),
      start_(start % count_),
      in_use_(count_),
      seen_(count_) {}

bool Addresses::assignable(Ipv4 address) const {
    return address.value >= first_ && index(address) < count_;
}

Result<Ipv4> Addresses::take() {
    while (walked_ < count_) {
        const auto at = static_cast<uint32_t>((uint64_t{start_} + walked_++) % count_);
        if (seen_[at]) continue;
        seen_[at] = in_use_[at] = true;
        return Ipv4{first_ + at};
    }
    if (freed_.empty()) return Error{ErrorKind::kLimit, 0, "every box address of the range is in use"};
    const uint32_t at = freed_.front();
    freed_.pop_front();
    in_use_[at] = true;
    return Ipv4{first_ + at};
}

void Addresses::release(Ipv4 address) {
    if (!assignable(address) || !in_use_[index(address)]) return;
    in_use_[index(address)] = false;
    freed_.push_back(index(address));
}

Result<void> Addresses::reserve(Ipv4 address) {
    if (!assignable(address)) return invalid(to_string(address) + " is no box's address");
    const uint32_t at = index(address);
    if (in_use_[at]) return Error{ErrorKind::kConflict, 0, to_string(address) + " is in use already"};
    if (seen_[at]) std::erase(freed_, at);
    seen_[at] = in_use_[at] = true;
    return {};
}

}  // namespace hutch::netns
