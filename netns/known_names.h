#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "netns/address.h"

namespace hutch::netns {

/// By which name boxes lately found an address: for who reads what they were refused. Of a box the newest kMostPerBox
/// are kept, of all together kMost; the box that has most gives way. Thread-safe.
class KnownNames {
  public:
    static constexpr size_t kMostPerBox = 256;
    static constexpr size_t kMost = 32 * 1024;

    void learn(Ipv4 box, Ipv4 address, const std::string& name);
    /// The one learned last; empty: none is known.
    [[nodiscard]] std::string name_of(Ipv4 box, Ipv4 address) const;
    /// The address will be another box's.
    void forget(Ipv4 box);

  private:
    struct OfBox {
        std::map<Ipv4, std::string> names;
        std::deque<Ipv4> by_age;  ///< those in `names`, the one learned first at the front
    };
    void drop_oldest(OfBox& box);

    mutable std::mutex mutex_;
    std::map<Ipv4, OfBox> boxes_;
    size_t kept_ = 0;
};

}  // namespace hutch::netns
