#pragma once

#include <memory>

#include "daemon/egress/judge.h"
#include "netns/names.h"
#include "netns/policy.h"

namespace hutch::daemon {

/// Where boxes' connections to ports that are relayed for them arrive (netns/firewall.h), whatever address they go to:
///
///     box --SYN to 93.184.216.34:443--> prerouting: policy of the box, then DNAT --> gateway:Config::relay
///           |                                                                              |
///           '-- its own firewall sees the address that it has asked for     first bytes: a name? -> Judge
///                                                                                          |
///                                 93.184.216.34:443 <-- a connection of the host's -- passed on
///
/// Of a box with a policy by name (netns::Policy::by_name) all ports are relayed, and the policy is judged here, before
/// the judge is asked: what tells a name, each request of HTTP by itself, must tell one that led the box to the
/// address; of what tells none the address is enough, unless a server of TLS or HTTP could read it. To a port that is
/// relayed for no other reason its connection is made at once, since there the server may speak first; what the box
/// says is held until it is judged.
///
/// It is opened to the address that the kernel remembers (SO_ORIGINAL_DST), never to one that was looked up here. Bytes
/// pass on as they are. While nobody listens here, such connections are refused.
///
/// On a thread of its own: what boxes send and receive must not keep the API waiting.
class Relay {
  public:
    /// Of connections that its box's policy refused, and why.
    using OnRefused = std::function<void(const Flow& flow, netns::Egress rule)>;
    static constexpr size_t kMostOfBox = 400;  ///< connections; fewer when there are many: an eighth of what is left
    static constexpr size_t kMostOfAll = 4096;

    /// Listens at once. `policies` outlives it. It hears of changes by itself.
    /// `on_refused` may be none; it is called on the relay's thread, and must not keep it waiting.
    static Result<std::unique_ptr<Relay>> start(const netns::Config& network, netns::Policies& policies, Judge judge,
                                                Interceptor interceptor, OnRefused on_refused = nullptr);
    /// Cuts what is open.
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// What is open of that box is judged again, soon. From any thread.
    void reconsider(netns::Ipv4 box);

  private:
    struct State;
    explicit Relay(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace hutch::daemon
