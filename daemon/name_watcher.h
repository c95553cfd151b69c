#pragma once

#include "daemon/refusals.h"
#include "netns/dns_socket.h"
#include "netns/known_names.h"
#include "netns/names.h"

namespace hutch::daemon {

/// Notes what is refused by name, and by which name boxes found which address.
class NameWatcher : public netns::DnsWatcher {
  public:
    /// Both must live longer.
    NameWatcher(Refusals& refusals, netns::KnownNames& names) : refusals_(refusals), names_(names) {}

    void refused(netns::Ipv4 box, std::string_view question) override;
    void answered(netns::Ipv4 box, std::string_view question, std::string_view packet) override;
    /// Every address of that name is closed to boxes, or denied to this one.
    void closed(netns::Ipv4 box, const std::string& name, netns::Egress rule);
    /// A connection, by the name that it told, which may be any bytes.
    void refused(netns::Ipv4 box, netns::Ipv4 address, uint16_t port, const std::string& told, netns::Egress rule);

  private:
    Refusals& refusals_;
    netns::KnownNames& names_;
};

}  // namespace hutch::daemon
