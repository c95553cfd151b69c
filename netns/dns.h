#pragma once

#include <memory>

#include "netns/config.h"
#include "netns/dns_tcp.h"
#include "netns/dns_udp.h"

namespace hutch::netns {

/// The boxes' name server at the gateway address: passes their queries to the host's own name servers, and nothing but
/// queries. It has no thread and never waits: its owner's event loop watches `fd` and calls `on_ready`.
///
///     box -> gateway:53 -> [check] -> random port, random id -> name server of resolv.conf(5)
///
/// A box may have 64 queries over UDP under way and 8 connections over TCP; when all boxes together have taken what
/// there is, the one that holds most gives way. A server that does not answer within 1.5 s or refuses is passed over
/// for the next; when all were tried, the box is told "server failure".
///
/// Of a box that may ask for some names alone the query is made anew from the name, and the answer from the addresses
/// (dns_answer.h). It is asked for those alone: other types have no record, so that neither IPv6 nor what hides a name
/// (HTTPS with encrypted hellos) is tried. It has UDP alone, where each answer fits.
class DnsForwarder {
  public:
    /// `judge` is asked about each query, `watcher`, which may be none, told what comes of it; both outlive the
    /// forwarder. EADDRINUSE: another name server has taken port 53 of all addresses.
    static Result<std::unique_ptr<DnsForwarder>> open(const Config& config, DnsJudge& judge,
                                                      DnsWatcher* watcher = nullptr);

    /// Readable when there is work. Owned by the forwarder.
    [[nodiscard]] int fd() const { return poller_.fd(); }
    /// Does what is to be done now; a bounded piece of it, so call it again while `fd` is readable.
    void on_ready();

  private:
    DnsForwarder(Poller poller, UniqueFd timer, const Config& config, const DnsClients& clients);
    void set_timer();

    Poller poller_;
    UniqueFd timer_;
    Upstreams upstreams_;
    DnsUdp udp_;
    DnsTcp tcp_;
};

}  // namespace hutch::netns
