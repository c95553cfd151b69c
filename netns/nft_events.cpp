#include "netns/nft_events.h"

#include <linux/netfilter.h>
#include <netlink/attr.h>
#include <sys/socket.h>

#include "netns/nft_message.h"

namespace hutch::netns {
namespace {

constexpr int kReceiveBuffer = 4 << 20;  // a firewall of others may be loaded with many thousand elements
constexpr size_t kEventsAtOnce = 64 << 10;

// Its attributes; all kinds of messages but that of a generation name their table in the first (nf_tables.h).
nlattr* attribute(nlmsghdr* header, int type) {
    const int size = nlmsg_attrlen(header, sizeof(nfgenmsg));
    return size > 0 ? nla_find(nlmsg_attrdata(header, sizeof(nfgenmsg)), size, type) : nullptr;
}

uint32_t number_of(const nlattr* found) {
    return found != nullptr && nla_len(found) >= 4 ? ntohl(nla_get_u32(found)) : 0;
}

}  // namespace

Result<NftEvents> NftEvents::open(const std::string& table) {
    auto socket = TRY(nft_socket());
    const int fd = nl_socket_get_fd(socket.get());
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer));
    if (nl_socket_add_memberships(socket.get(), NFNLGRP_NFTABLES, 0) < 0) return errno_error("following nftables");
    return NftEvents(std::move(socket), table);
}

Result<std::optional<std::vector<NftCommit>>> NftEvents::take() {
    std::vector<NftCommit> commits;
    std::vector<char> buffer(kEventsAtOnce);
    for (;;) {
        const ssize_t size = recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return std::optional(std::move(commits));
        if (size < 0 && errno == ENOBUFS) return std::optional<std::vector<NftCommit>>();
        if (size < 0) return errno_error("reading what is told of nftables");
        int left = static_cast<int>(size);
        for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(header, left);
             header = nlmsg_next(header, &left)) {
            read(header, commits);
        }
    }
}

// A transaction is told of by a message for each thing it changed, and one with its generation behind them.
void NftEvents::read(nlmsghdr* header, std::vector<NftCommit>& commits) {
    if (header->nlmsg_type >> 8U != NFNL_SUBSYS_NFTABLES || !nlmsg_valid_hdr(header, sizeof(nfgenmsg))) return;
    if (header->nlmsg_type == nft_type(NFT_MSG_NEWGEN)) {
        const nlattr* program = attribute(header, NFTA_GEN_PROC_NAME);
        if (std::exchange(touched_, false)) {
            commits.push_back({number_of(attribute(header, NFTA_GEN_ID)),
                               number_of(attribute(header, NFTA_GEN_PROC_PID)),
                               program == nullptr ? "" : nla_get_string(program)});
        }
        return;
    }
    const nlattr* named = attribute(header, NFTA_TABLE_NAME);
    const auto* head = static_cast<const nfgenmsg*>(nlmsg_data(header));
    if (head->nfgen_family == NFPROTO_INET && named != nullptr && table_ == nla_get_string(named)) touched_ = true;
}

}  // namespace hutch::netns
