#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "netns/config.h"

namespace hutch::netns {

/// What one box may talk to, of what is not closed to all boxes (firewall.h). A denied network is closed though it be
/// allowed.
struct Policy {
    bool open = true;  ///< to all that is not denied; else to `allowed` alone
    std::vector<Prefix> allowed;
    std::vector<Prefix> denied;

    [[nodiscard]] bool is_default() const { return open && denied.empty(); }
    bool operator==(const Policy&) const = default;
};

/// "10.0.0.0/8", a single address, or "0.0.0.0/0" for all. kInvalid names the text.
Result<std::vector<Prefix>> parse_network(const std::string& text);

/// As nft(8) commands, for one transaction: from the elements of one policy of `box` to those of the other.
std::string policy_commands(const Config& config, Ipv4 box, const Policy& old, const Policy& wanted);

/// The policies in force, in the sets of the firewall's table. A box with the default policy has no element: its
/// packets pay for one lookup. Every packet is looked up, in both directions, so that a change holds for connections
/// that are there as well. Thread-safe.
class Policies {
  public:
    /// Puts the firewall in place with these policies, in one transaction: no box is open for a moment at a restart.
    static Result<std::unique_ptr<Policies>> load(const Config& config, std::map<Ipv4, Policy> policies);

    /// In one transaction; on failure the old one holds. Milliseconds, for a worker thread.
    Result<void> set(Ipv4 box, const Policy& policy);
    /// The box is gone: before its address is another's.
    Result<void> lift(Ipv4 box) { return set(box, {}); }
    /// Lifts those of all others.
    Result<void> keep_only(const std::vector<Ipv4>& boxes);
    /// Whether its name queries are passed on: a query tells whatever it is made to tell to whoever has that name's
    /// server, so only a box that may talk to everybody may ask.
    [[nodiscard]] bool may_resolve(Ipv4 box) const;

  private:
    Policies(Config config, std::map<Ipv4, Policy> policies)
        : config_(std::move(config)), policies_(std::move(policies)) {}

    const Config config_;
    mutable std::mutex mutex_;
    std::map<Ipv4, Policy> policies_;  ///< those that are not the default
};

}  // namespace hutch::netns
