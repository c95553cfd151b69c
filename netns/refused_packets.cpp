#include "netns/refused_packets.h"

#include <linux/netfilter.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include "netns/box_firewall.h"
#include "netns/nft_message.h"

namespace hutch::netns {
namespace {

constexpr int kRoomForEvents = 1 << 20;  // some thousand events
constexpr int kEventsAtOnce = 256;
constexpr size_t kLargestEvent = 8192;

// In a header of IPv4 (RFC 791, 3.1): the C library's and the kernel's names of its fields do not go together.
constexpr size_t kHeader = 20;
constexpr size_t kProtocolAt = 9;
constexpr size_t kFromAt = 12;
constexpr size_t kToAt = 16;

Ipv4 address_at(std::string_view header, size_t at) {
    uint32_t raw = 0;
    memcpy(&raw, header.data() + at, sizeof(raw));
    return {ntohl(raw)};
}

struct EventAttributes {
    nlattr* first;
    int size;

    [[nodiscard]] const nlattr* find(int type) const { return size > 0 ? nla_find(first, size, type) : nullptr; }
    [[nodiscard]] std::string_view bytes(int type) const {
        const nlattr* found = find(type);
        if (found == nullptr) return {};
        return {static_cast<const char*>(nla_data(found)), static_cast<size_t>(nla_len(found))};
    }
    [[nodiscard]] std::string text(int type) const {
        const std::string_view all = bytes(type);
        return std::string(all.substr(0, all.find('\0')));
    }
    [[nodiscard]] uint32_t number(int type) const {
        const std::string_view all = bytes(type);
        uint32_t value = 0;
        if (all.size() >= sizeof(value)) memcpy(&value, all.data(), sizeof(value));
        return ntohl(value);
    }
};

bool is_drop(const EventAttributes& event) {
    const nlattr* verdict = event.find(NFTA_TRACE_VERDICT);
    if (event.number(NFTA_TRACE_TYPE) != NFT_TRACETYPE_RULE || verdict == nullptr) return false;
    const EventAttributes words{static_cast<nlattr*>(nla_data(verdict)), nla_len(verdict)};
    return words.find(NFTA_VERDICT_CODE) != nullptr && words.number(NFTA_VERDICT_CODE) == NF_DROP;
}

std::string name_of_protocol(uint8_t number) {
    switch (number) {
        case IPPROTO_TCP:
            return "tcp";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_ICMP:
            return "icmp";
        default:
            return std::to_string(number);
    }
}

}  // namespace

std::optional<RefusedPacket> read_refused_packet(nlmsghdr* event, const std::string& table) {
    if (event->nlmsg_type != nft_type(NFT_MSG_TRACE) || nlmsg_valid_hdr(event, sizeof(nfgenmsg)) == 0) return {};
    const EventAttributes all{nlmsg_attrdata(event, sizeof(nfgenmsg)), nlmsg_attrlen(event, sizeof(nfgenmsg))};
    const std::string of = all.text(NFTA_TRACE_TABLE);
    const std::string_view network = all.bytes(NFTA_TRACE_NETWORK_HEADER);
    const std::string_view transport = all.bytes(NFTA_TRACE_TRANSPORT_HEADER);
    if ((of != table && of != policy_table_of(table)) || !is_drop(all)) return {};
    if (network.size() < kHeader || static_cast<unsigned char>(network[0]) >> 4U != 4) return {};
    const auto protocol = static_cast<uint8_t>(network[kProtocolAt]);
    RefusedPacket packet{all.text(NFTA_TRACE_CHAIN), address_at(network, kFromAt), address_at(network, kToAt),
                         name_of_protocol(protocol)};
    constexpr size_t kPortAt = 2;  // behind where it comes from
    if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && transport.size() >= kPortAt + sizeof(packet.port)) {
        memcpy(&packet.port, transport.data() + kPortAt, sizeof(packet.port));
        packet.port = ntohs(packet.port);
    }
    return packet;
}

Result<RefusedPackets> RefusedPackets::open(const std::string& table) {
    auto socket = TRY(nft_socket());
    const int fd = nl_socket_get_fd(socket.get());
    const int on = 1;
    if (setsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)) != 0) {
        return errno_error("listening to the network namespaces of boxes");
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kRoomForEvents, sizeof(kRoomForEvents));
    if (nl_socket_add_memberships(socket.get(), NFNLGRP_NFTRACE, 0) < 0)
        return errno_error("following refused packets");
    return RefusedPackets(std::move(socket), table);
}

Result<std::vector<RefusedPacket>> RefusedPackets::take() {
    std::vector<RefusedPacket> packets;
    alignas(nlmsghdr) char buffer[kLargestEvent];
    for (int i = 0; i < kEventsAtOnce; ++i) {
        const ssize_t size = recv(fd(), buffer, sizeof(buffer), MSG_DONTWAIT);
        if (size < 0 && (errno == EINTR || errno == ENOBUFS)) continue;  // ENOBUFS: some were lost
        if (size < 0 && errno == EAGAIN) break;
        if (size < 0) return errno_error("reading what is told of refused packets");
        int left = static_cast<int>(size);
        for (auto* event = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(event, left);
             event = nlmsg_next(event, &left)) {
            if (auto packet = read_refused_packet(event, table_)) packets.push_back(std::move(*packet));
        }
    }
    return packets;
}

}  // namespace hutch::netns
