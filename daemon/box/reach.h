#pragma once

#include "daemon/box/manager.h"
#include "daemon/refusals.h"

namespace hutch::daemon {

/// What would refuse a flow of a box, before it is tried.
struct Obstacle {
    RefusedBy rule;
    std::string sentence;  ///< "10.1.2.3 lies in 10.0.0.0/8, a private network, which is closed to all boxes."
};
/// What is closed to a box with this address and policy; nothing where no rule refuses it. Pure.
std::optional<Obstacle> obstacle_to(const netns::Config& network, netns::Ipv4 box, const netns::Policy& policy,
                                    netns::Ipv4 destination, uint16_t port);

/// Why a box reaches a host, or does not.
struct Reach {
    enum class Verdict {
        kAnswers,  ///< a connection was made
        kClosed,   ///< the host answers that nothing listens on the port
        kSilent,   ///< nothing refuses it here, and nobody has answered
        kRefused,  ///< by `rule`
        kNoName,   ///< the name has no address
        kNoRoute,  ///< this host has no way there
        kUntried,  ///< nothing refuses it here; the box has no network to try it from
    };
    Verdict verdict = Verdict::kUntried;
    std::string rule{};                    ///< as name_of(RefusedBy) has it, or host_firewall; empty: none
    std::vector<netns::Ipv4> addresses{};  ///< of the host; the one that was tried first
    std::string explanation{};             ///< in sentences
};
/// As the API calls it.
const char* name_of(Reach::Verdict verdict);

/// Finds that out: looks the host up as the boxes' name server does, asks the rules, and then tries, by a connection
/// out of the box's own network namespace, which all of them hold for. Takes some seconds at most. Event loop thread
/// only.
class Reacher {
  public:
    Reacher(Manager& boxes, const Refusals& refusals) : boxes_(boxes), refusals_(refusals) {}

    /// kInvalid, naming `host`, for what is neither a name nor an address. May be cancelled.
    Task<Result<Reach>> reach(std::shared_ptr<Box> box, std::string host, uint16_t port);

  private:
    struct Asked;
    Task<Result<void>> find_addresses(Asked& asked);
    void ask_rules(Asked& asked) const;
    Task<Result<void>> ask_host(Asked& asked);
    Task<Result<void>> try_it(Asked& asked);
    Task<Result<void>> ask_why_silent(Asked& asked);

    Manager& boxes_;
    const Refusals& refusals_;
    Workers threads_{2};  ///< not those of boxes' making: a name server may be slow
};

}  // namespace hutch::daemon
