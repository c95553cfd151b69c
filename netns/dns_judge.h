#pragma once

#include <string>
#include <vector>

#include "netns/dns_answer.h"

namespace hutch::netns {

enum class MayAsk {
    kEverything,
    kListed,  ///< the addresses of some names
    kNothing,
};

/// What the boxes' name server asks about each query: a query tells whatever it is made to tell to whoever has that
/// name's server. Called on its owner's thread; must not wait.
class DnsJudge {
  public:
    virtual ~DnsJudge() = default;

    [[nodiscard]] virtual MayAsk may_ask(Ipv4 box) const = 0;
    /// Of a box that may ask for some names: whether this is one, as host_name() gives it.
    [[nodiscard]] virtual bool lists(Ipv4 box, const std::string& name) const = 0;
    /// A server has answered this to such a box; returns what it is told of that, which it may talk to from then on.
    virtual std::vector<DnsAddress> learn(Ipv4 box, const std::string& name, std::vector<DnsAddress> answered) = 0;
};

}  // namespace hutch::netns
