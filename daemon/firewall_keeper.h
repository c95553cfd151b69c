#pragma once

#include "daemon/fd_thread.h"
#include "netns/policy.h"

namespace hutch::daemon {

/// Sees the firewall's table changed or removed by others (restarting a distribution's firewall removes all there are),
/// and puts it back at once, with the policies of all boxes. It says so in the log; Policies::restored() counts. On a
/// thread of its own, since no request may make boxes wait for it.
class FirewallKeeper {
  public:
    /// `policies` must live longer.
    static Result<std::unique_ptr<FirewallKeeper>> start(netns::Policies& policies, const netns::Config& config);

  private:
    FirewallKeeper(netns::Policies& policies, std::string table, netns::NftEvents events)
        : policies_(policies), table_(std::move(table)), events_(std::move(events)) {}
    int look();

    netns::Policies& policies_;
    std::string table_;
    netns::NftEvents events_;
    bool failed_ = false;               ///< the last try to put it back
    std::unique_ptr<FdThread> thread_;  ///< last, so that it ends before what it uses
};

}  // namespace hutch::daemon
