#pragma once

#include <functional>
#include <string>
#include <vector>

#include "netns/dns_judge.h"
#include "netns/policy.h"

namespace hutch::netns {

/// Why a box may not talk to a server.
enum class Egress {
    kPasses,
    kClosed,      ///< a private or local network, or an address of this host: closed to all boxes
    kDenied,      ///< by its policy
    kNotAllowed,  ///< no name or network of its policy leads there
    kNoName,      ///< only names lead there, and the connection does not say which it is for
    kOtherName,   ///< only names lead there, and not the one it says it is for
};

/// What boxes may ask the name server, and may talk to after its answers. Thread-safe.
class Names : public DnsJudge {
  public:
    /// Of a name that is allowed, and of which every address is closed, or denied by the policy: called on the thread
    /// of the name server.
    using OnClosed = std::function<void(Ipv4 box, const std::string& name, Egress rule)>;

    Names(const Config& config, Policies& policies, OnClosed on_closed = nullptr);

    [[nodiscard]] MayAsk may_ask(Ipv4 box) const override;
    [[nodiscard]] bool lists(Ipv4 box, const std::string& name) const override;
    std::vector<DnsAddress> learn(Ipv4 box, const std::string& name, std::vector<DnsAddress> answered) override;

    /// The names that lead a box to this address now. A connection goes on with those that it has begun with.
    [[nodiscard]] std::vector<std::string> led_to(Ipv4 box, Ipv4 server) const;
    /// Of a TCP connection before anything was said on it: whether any name, or a network, leads there. `led`: as
    /// above.
    [[nodiscard]] Egress judge(Ipv4 box, Ipv4 server, const std::vector<std::string>& led) const;
    /// Of one that says which name it is for (TLS, HTTP), in whatever spelling; empty: it speaks one of these and says
    /// none.
    [[nodiscard]] Egress judge(Ipv4 box, Ipv4 server, const std::vector<std::string>& led, std::string_view name) const;
    /// The same where the address was judged already: what is asked of each request of a connection.
    [[nodiscard]] Egress judge_name(Ipv4 box, Ipv4 server, const std::vector<std::string>& led,
                                    std::string_view name) const;

  private:
    [[nodiscard]] bool closed(Ipv4 server) const;

    Policies& policies_;
    const std::vector<Prefix> closed_;
    OnClosed on_closed_;
};

}  // namespace hutch::netns
