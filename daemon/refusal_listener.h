#pragma once

#include "daemon/fd_thread.h"
#include "daemon/refusals.h"
#include "netns/config.h"
#include "netns/known_names.h"
#include "netns/refused_packets.h"

namespace hutch::daemon {

/// Hears what the firewalls of all boxes refuse, and notes it. On a thread of its own, so that a flood of it holds up
/// no request; the firewalls bound how much each box can make them tell.
class RefusalListener {
  public:
    /// All must live longer.
    static Result<std::unique_ptr<RefusalListener>> start(Refusals& refusals, const netns::KnownNames& names,
                                                          const netns::Config& config);

  private:
    RefusalListener(Refusals& refusals, const netns::KnownNames& names, const netns::Config& config,
                    netns::RefusedPackets packets)
        : refusals_(refusals), names_(names), range_(config.range), packets_(std::move(packets)) {}
    int look();

    Refusals& refusals_;
    const netns::KnownNames& names_;
    netns::Prefix range_;
    netns::RefusedPackets packets_;
    bool failed_ = false;
    std::unique_ptr<FdThread> thread_;  ///< last, so that it ends before what it uses
};

}  // namespace hutch::daemon
