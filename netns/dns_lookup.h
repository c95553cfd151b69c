#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "netns/address.h"

namespace hutch::netns {

/// What the name servers of this host say of a name.
struct LookedUp {
    enum class Outcome {
        kAnswered,  ///< `addresses` are all it has
        kNoSuchName,
        kFailed,  ///< none of them has answered, or each of them with a failure
    };
    Outcome outcome = Outcome::kFailed;
    std::vector<Ipv4> addresses{};
};

/// Asks the servers that the boxes' name server asks, those of this resolv.conf(5), and no other source: /etc/hosts of
/// this host is none of boxes'. `name`: as host_name() gives it. Waits for up to three times kDnsTry: for a worker
/// thread.
Result<LookedUp> look_up(const std::string& resolv_conf, const std::string& name);

}  // namespace hutch::netns
