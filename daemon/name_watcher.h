#pragma once

#include "daemon/refusals.h"
#include "netns/dns_socket.h"
#include "netns/known_names.h"

namespace hutch::daemon {

/// Hears of the boxes' name server which names they were refused, and by which name they found which address.
class NameWatcher : public netns::DnsWatcher {
  public:
    /// Both must live longer.
    NameWatcher(Refusals& refusals, netns::KnownNames& names) : refusals_(refusals), names_(names) {}

    void refused(netns::Ipv4 box, std::string_view question) override;
    void answered(netns::Ipv4 box, std::string_view question, std::string_view packet) override;

  private:
    Refusals& refusals_;
    netns::KnownNames& names_;
};

}  // namespace hutch::daemon
