#pragma once

#include <list>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "netns/address.h"
#include "netns/dns_socket.h"

namespace hutch::netns {

/// The addresses that a box was told for its names, each for as long as it was told, and by which name. Thread-safe.
/// Of a box the last kMostPerBox are kept, some 150 bytes each.
class Learned {
  public:
    static constexpr size_t kMostPerBox = 1024;

    void learn(Ipv4 box, Ipv4 address, const std::string& name, Clock::time_point until);
    [[nodiscard]] std::vector<std::string> names_of(Ipv4 box, Ipv4 address, Clock::time_point now) const;
    void forget(Ipv4 box);

  private:
    struct Entry {
        Ipv4 address;
        std::string name;
        Clock::time_point until;
    };
    struct OfBox {
        std::list<Entry> by_age;  ///< the one told last at the end
        std::map<std::pair<Ipv4, std::string>, std::list<Entry>::iterator> by_address;
    };

    mutable std::mutex mutex_;
    std::map<Ipv4, OfBox> boxes_;
};

}  // namespace hutch::netns
