#pragma once

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <string>
#include <string_view>

#include "netns/address.h"
#include "netns/netlink.h"

namespace hutch::netns {

/// The type of a message of nf_tables, of its NFT_MSG_*.
constexpr int nft_type(int message) {
    return NFNL_SUBSYS_NFTABLES << 8 | message;
}

/// A message for nf_tables, of family inet, while its attributes (linux/netfilter/nf_tables.h) are written. Numbers go
/// big-endian, as the kernel wants them there.
class NftMessage {
  public:
    /// `type`: NFT_MSG_*. `size`: what it will take at most, in bytes.
    NftMessage(int type, int flags, size_t size = 1024);

    NftMessage& name(int attribute, const std::string& text);
    NftMessage& number(int attribute, uint32_t value);
    NftMessage& long_number(int attribute, uint64_t value);
    NftMessage& bytes(int attribute, std::string_view value);
    /// An attribute that holds those that `body` writes.
    template <typename Body>
    NftMessage& nest(int attribute, Body body) {
        nlattr* start = begin(attribute);
        body();
        end(start);
        return *this;
    }
    /// By hand, where the end is written elsewhere.
    nlattr* begin(int attribute);
    void end(nlattr* start);

    [[nodiscard]] nl_msg* get() const { return message_.get(); }
    Handle<nl_msg, nlmsg_free> release() && { return std::move(message_); }

  private:
    Handle<nl_msg, nlmsg_free> message_;
};

/// As it stands in a packet.
std::string wire(Ipv4 address);
std::string wire(uint16_t port);

}  // namespace hutch::netns
