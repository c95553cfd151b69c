#include "netns/nft_rule.h"

#include <linux/ip.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstddef>

namespace hutch::netns {

namespace {

// Values go through the first register, as in what nft(8) makes of its text; those that follow one another in a key,
// through its next quarters.
constexpr uint32_t kRegister = NFT_REG_1;
constexpr uint32_t kSecondQuarter = NFT_REG32_01;
constexpr uint32_t kThirdQuarter = NFT_REG32_02;

std::string byte(uint8_t value) {
    return {static_cast<char>(value)};
}

std::string name_of_link(std::string name) {
    name.resize(IFNAMSIZ);
    return name;
}

}  // namespace

NftRule::NftRule() : message_(NFT_MSG_NEWRULE, 0) {}

std::string_view NftRule::expressions() const {
    const nlmsghdr* header = nlmsg_hdr(message_.get());
    return {reinterpret_cast<const char*>(nlmsg_attrdata(header, sizeof(nfgenmsg))),
            static_cast<size_t>(nlmsg_attrlen(header, sizeof(nfgenmsg)))};
}

template <typename Body>
NftRule& NftRule::expression(const char* name, Body body) {
    message_.nest(NFTA_LIST_ELEM, [&] {
        message_.name(NFTA_EXPR_NAME, name);
        message_.nest(NFTA_EXPR_DATA, body);
    });
    return *this;
}

NftRule& NftRule::load(uint32_t meta, uint32_t into) {
    return expression("meta", [&] { message_.number(NFTA_META_KEY, meta).number(NFTA_META_DREG, into); });
}

NftRule& NftRule::load(uint32_t base, uint32_t offset, uint32_t length, uint32_t into) {
    return expression("payload", [&] {
        message_.number(NFTA_PAYLOAD_DREG, into).number(NFTA_PAYLOAD_BASE, base);
        message_.number(NFTA_PAYLOAD_OFFSET, offset).number(NFTA_PAYLOAD_LEN, length);
    });
}

NftRule& NftRule::compare(uint32_t operation, std::string_view with) {
    return expression("cmp", [&] {
        message_.number(NFTA_CMP_SREG, kRegister).number(NFTA_CMP_OP, operation);
        message_.nest(NFTA_CMP_DATA, [&] { message_.bytes(NFTA_DATA_VALUE, with); });
    });
}

NftRule& NftRule::look_up(const std::string& set, uint32_t flags) {
    return expression("lookup", [&] {
        message_.name(NFTA_LOOKUP_SET, set).number(NFTA_LOOKUP_SREG, kRegister).number(NFTA_LOOKUP_FLAGS, flags);
    });
}

// Of an IPv4 header: there are other packets in a table of family inet.
NftRule& NftRule::address(uint32_t offset) {
    return ipv4().load(NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof(in_addr));
}

NftRule& NftRule::protocol(uint8_t number) {
    return load(NFT_META_L4PROTO).compare(NFT_CMP_EQ, byte(number));
}

NftRule& NftRule::tcp_flags(uint32_t operation) {
    constexpr uint32_t kFlags = 13;  // behind the length of the header
    protocol(IPPROTO_TCP).load(NFT_PAYLOAD_TRANSPORT_HEADER, kFlags, 1);
    expression("bitwise", [&] {
        message_.number(NFTA_BITWISE_SREG, kRegister).number(NFTA_BITWISE_DREG, kRegister);
        message_.number(NFTA_BITWISE_LEN, 1);
        message_.nest(NFTA_BITWISE_MASK, [&] { message_.bytes(NFTA_DATA_VALUE, byte(TH_SYN | TH_ACK)); });
        message_.nest(NFTA_BITWISE_XOR, [&] { message_.bytes(NFTA_DATA_VALUE, byte(0)); });
    });
    return compare(operation, byte(TH_SYN));
}

NftRule& NftRule::into(const std::string& link) {
    return load(NFT_META_OIFNAME).compare(NFT_CMP_EQ, name_of_link(link));
}

NftRule& NftRule::out_of(const std::string& link) {
    return load(NFT_META_IIFNAME).compare(NFT_CMP_EQ, name_of_link(link));
}

NftRule& NftRule::ipv4() {
    return load(NFT_META_NFPROTO).compare(NFT_CMP_EQ, byte(NFPROTO_IPV4));
}

NftRule& NftRule::to(Ipv4 there) {
    return address(offsetof(iphdr, daddr)).compare(NFT_CMP_EQ, wire(there));
}

NftRule& NftRule::from(Ipv4 there) {
    return address(offsetof(iphdr, saddr)).compare(NFT_CMP_EQ, wire(there));
}

NftRule& NftRule::to_any_of(const std::string& set) {
    return address(offsetof(iphdr, daddr)).look_up(set, 0);
}

NftRule& NftRule::from_any_of(const std::string& set) {
    return address(offsetof(iphdr, saddr)).look_up(set, 0);
}

NftRule& NftRule::to_none_of(const std::string& set) {
    return address(offsetof(iphdr, daddr)).look_up(set, NFT_LOOKUP_F_INV);
}

NftRule& NftRule::from_none_of(const std::string& set) {
    return address(offsetof(iphdr, saddr)).look_up(set, NFT_LOOKUP_F_INV);
}

NftRule& NftRule::udp(uint16_t port) {
    return protocol(IPPROTO_UDP).load(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2).compare(NFT_CMP_EQ, wire(port));
}

NftRule& NftRule::tcp(uint16_t port) {
    return protocol(IPPROTO_TCP).load(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2).compare(NFT_CMP_EQ, wire(port));
}

NftRule& NftRule::tcp() {
    return ipv4().protocol(IPPROTO_TCP);
}

NftRule& NftRule::tcp_beginning() {
    return tcp_flags(NFT_CMP_EQ);
}

NftRule& NftRule::tcp_going_on() {
    return tcp_flags(NFT_CMP_NEQ);
}

NftRule& NftRule::icmp(uint8_t type) {
    return ipv4().protocol(IPPROTO_ICMP).load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1).compare(NFT_CMP_EQ, byte(type));
}

NftRule& NftRule::limit(uint64_t packets, uint32_t burst, uint32_t flags) {
    return expression("limit", [&] {
        message_.long_number(NFTA_LIMIT_RATE, packets).long_number(NFTA_LIMIT_UNIT, 1);
        message_.number(NFTA_LIMIT_BURST, burst).number(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
        message_.number(NFTA_LIMIT_FLAGS, flags);
    });
}

NftRule& NftRule::more_than(uint64_t packets, uint32_t burst) {
    return limit(packets, burst, NFT_LIMIT_F_INV);
}

// A flow that is in the set takes none of what the limit lets through: one that makes much noise hides no other.
NftRule& NftRule::tell_once(const std::string& flows, FlowKind kind) {
    const bool icmp = kind == FlowKind::kIcmp;
    load(NFT_META_L4PROTO).compare(icmp ? NFT_CMP_EQ : NFT_CMP_NEQ, byte(IPPROTO_ICMP));
    address(offsetof(iphdr, daddr)).load(NFT_META_L4PROTO, kSecondQuarter);
    load(NFT_PAYLOAD_TRANSPORT_HEADER, icmp ? 0 : 2, 2, kThirdQuarter).look_up(flows, NFT_LOOKUP_F_INV);
    limit(kTold, kToldAtOnce, 0);
    expression("dynset", [&] {
        message_.name(NFTA_DYNSET_SET_NAME, flows).number(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD);
        message_.number(NFTA_DYNSET_SREG_KEY, kRegister);
    });
    expression("immediate", [&] {
        message_.number(NFTA_IMMEDIATE_DREG, kRegister);
        message_.nest(NFTA_IMMEDIATE_DATA, [&] { message_.bytes(NFTA_DATA_VALUE, byte(1)); });
    });
    return expression("meta",
                      [&] { message_.number(NFTA_META_KEY, NFT_META_NFTRACE).number(NFTA_META_SREG, kRegister); });
}

NftRule& NftRule::count(const std::string& counter) {
    return expression("objref", [&] {
        message_.number(NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER).name(NFTA_OBJREF_IMM_NAME, counter);
    });
}

NftRule& NftRule::verdict(int code, const std::string& chain) {
    const auto words = [&] {
        message_.number(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
        if (!chain.empty()) message_.name(NFTA_VERDICT_CHAIN, chain);
    };
    return expression("immediate", [&] {
        message_.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        message_.nest(NFTA_IMMEDIATE_DATA, [&] { message_.nest(NFTA_DATA_VERDICT, words); });
    });
}

// Two bytes at once, as a checksum has them: the other one is the protocol.
NftRule& NftRule::end_at_next_host() {
    expression("immediate", [&] {
        message_.number(NFTA_IMMEDIATE_DREG, kRegister);
        message_.nest(NFTA_IMMEDIATE_DATA, [&] { message_.bytes(NFTA_DATA_VALUE, byte(1) + byte(IPPROTO_TCP)); });
    });
    return expression("payload", [&] {
        message_.number(NFTA_PAYLOAD_SREG, kRegister).number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
        message_.number(NFTA_PAYLOAD_OFFSET, offsetof(iphdr, ttl)).number(NFTA_PAYLOAD_LEN, 2);
        message_.number(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
        message_.number(NFTA_PAYLOAD_CSUM_OFFSET, offsetof(iphdr, check));
    });
}

NftRule& NftRule::accept() {
    return verdict(NF_ACCEPT);
}

NftRule& NftRule::drop() {
    return verdict(NF_DROP);
}

NftRule& NftRule::go_to(const std::string& chain) {
    return verdict(NFT_GOTO, chain);
}

}  // namespace hutch::netns
