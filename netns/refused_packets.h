#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/address.h"
#include "netns/nft_socket.h"

namespace hutch::netns {

/// A packet of a box that the host's firewall, or the box's own, has dropped: the first of a flow in some seconds, and
/// few of a box in one second (firewall.h, box_firewall.h).
struct RefusedPacket {
    std::string chain;     ///< which dropped it, named after the rule: "blocked"
    Ipv4 from, to;         ///< `from` is the box: it cannot send from an address that is not its own
    std::string protocol;  ///< tcp, udp, icmp; else its number
    uint16_t port = 0;     ///< it goes to, of TCP and UDP
};

/// Told by the kernel of the packets that the firewalls of all boxes refuse. They mark what they tell of (meta
/// nftrace), and of what is marked nf_tables sends an event, in the network namespace where it is dropped. One socket
/// hears of all of them: NETLINK_LISTEN_ALL_NSID (netlink(7)), which asks for CAP_NET_BROADCAST, hears of each
/// namespace that has a number in its own, as that of a link's other end has. So a box costs no descriptor, and none is
/// to be opened when it is made or taken over. No box can send such an event, since nobody in it has power over its
/// network namespace, and namespaces within it have no link to the host's. One thread at a time.
class RefusedPackets {
  public:
    /// `table`: of Config.
    static Result<RefusedPackets> open(const std::string& table);

    /// Readable when there is news.
    [[nodiscard]] int fd() const { return nl_socket_get_fd(socket_.get()); }
    /// Some of what has been told since the last call, without waiting. What came while nobody looked, and did not find
    /// room, is lost.
    Result<std::vector<RefusedPacket>> take();

  private:
    RefusedPackets(NftSocket socket, std::string table) : socket_(std::move(socket)), table_(std::move(table)) {}

    NftSocket socket_;
    std::string table_;
};

/// The pure part: what an event says; nothing when it is none of a dropped packet of these tables.
std::optional<RefusedPacket> read_refused_packet(nlmsghdr* event, const std::string& table);

}  // namespace hutch::netns
