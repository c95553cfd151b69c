#include "netns/nft_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <netlink/attr.h>

namespace hutch::netns {

namespace {

void check_room(int failure) {
    if (failure < 0) throw std::bad_alloc();
}

}  // namespace

NftMessage::NftMessage(int type, int flags, size_t size)
    : message_(handle<Handle<nl_msg, nlmsg_free>>(nlmsg_alloc_size(size))) {
    if (nlmsg_put(get(), NL_AUTO_PORT, NL_AUTO_SEQ, nft_type(type), 0, flags | NLM_F_REQUEST) == nullptr) {
        throw std::bad_alloc();
    }
    nfgenmsg head{};
    head.nfgen_family = NFPROTO_INET;
    check_room(nlmsg_append(get(), &head, sizeof(head), NLMSG_ALIGNTO));
}

NftMessage& NftMessage::name(int attribute, const std::string& text) {
    check_room(nla_put_string(get(), attribute, text.c_str()));
    return *this;
}

NftMessage& NftMessage::number(int attribute, uint32_t value) {
    check_room(nla_put_u32(get(), attribute, htonl(value)));
    return *this;
}

NftMessage& NftMessage::long_number(int attribute, uint64_t value) {
    check_room(nla_put_u64(get(), attribute, htobe64(value)));
    return *this;
}

NftMessage& NftMessage::bytes(int attribute, std::string_view value) {
    check_room(nla_put(get(), attribute, static_cast<int>(value.size()), value.data()));
    return *this;
}

nlattr* NftMessage::begin(int attribute) {
    nlattr* start = nla_nest_start(get(), attribute);
    if (start == nullptr) throw std::bad_alloc();
    return start;
}

void NftMessage::end(nlattr* start) {
    check_room(nla_nest_end(get(), start));
}

std::string wire(Ipv4 address) {
    const uint32_t raw = htonl(address.value);
    return {reinterpret_cast<const char*>(&raw), sizeof(raw)};
}

std::string wire(uint16_t port) {
    const uint16_t raw = htons(port);
    return {reinterpret_cast<const char*>(&raw), sizeof(raw)};
}

}  // namespace hutch::netns
