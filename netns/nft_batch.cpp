#include "netns/nft_batch.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include <algorithm>
#include <functional>

namespace hutch::netns {

namespace {

// nft(8)'s numbers of types; the kernel only keeps them.
constexpr uint32_t kIpv4Address = 7;
constexpr uint32_t kProtocol = 12;
constexpr uint32_t kService = 13;
constexpr uint32_t kFlow = kIpv4Address << 12 | kProtocol << 6 | kService;  // one after the other

}  // namespace

void NftBatch::add(const std::string& what, NftMessage message) {
    messages_.push_back({what + " of the table inet " + table_, std::move(message).release()});
}

void NftBatch::create_table() {
    NftMessage message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    message.name(NFTA_TABLE_NAME, table_).number(NFTA_TABLE_FLAGS, 0);
    messages_.push_back({"making the table inet " + table_, std::move(message).release()});
}

// Where there is none, the first message makes what the second one removes.
void NftBatch::remove_table() {
    for (const auto& [type, flags] : {std::pair{NFT_MSG_NEWTABLE, NLM_F_CREATE}, std::pair{NFT_MSG_DELTABLE, 0}}) {
        NftMessage message(type, flags);
        message.name(NFTA_TABLE_NAME, table_);
        messages_.push_back({"removing the table inet " + table_, std::move(message).release()});
    }
}

void NftBatch::add_counter(const std::string& name) {
    NftMessage message(NFT_MSG_NEWOBJ, NLM_F_CREATE);
    message.name(NFTA_OBJ_TABLE, table_).name(NFTA_OBJ_NAME, name).number(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
    message.nest(NFTA_OBJ_DATA,
                 [&] { message.long_number(NFTA_COUNTER_BYTES, 0).long_number(NFTA_COUNTER_PACKETS, 0); });
    add("adding the counter " + name, std::move(message));
}

void NftBatch::add_chain(const std::string& name) {
    NftMessage message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    message.name(NFTA_CHAIN_TABLE, table_).name(NFTA_CHAIN_NAME, name);
    add("adding the chain " + name, std::move(message));
}

void NftBatch::add_chain_at(const std::string& name, uint32_t hook, uint32_t otherwise) {
    NftMessage message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    message.name(NFTA_CHAIN_TABLE, table_).name(NFTA_CHAIN_NAME, name).name(NFTA_CHAIN_TYPE, "filter");
    message.number(NFTA_CHAIN_POLICY, otherwise);
    message.nest(NFTA_CHAIN_HOOK,
                 [&] { message.number(NFTA_HOOK_HOOKNUM, hook).number(NFTA_HOOK_PRIORITY, NF_IP_PRI_FILTER); });
    add("adding the chain " + name, std::move(message));
}

// The kernel's trees hold where a range begins and where it has ended; the last address of all has no end.
void NftBatch::add_networks(const std::string& set, const std::vector<Prefix>& networks) {
    NftMessage message(NFT_MSG_NEWSET, NLM_F_CREATE);
    message.name(NFTA_SET_TABLE, table_).name(NFTA_SET_NAME, set).number(NFTA_SET_ID, ++sets_);
    message.number(NFTA_SET_FLAGS, NFT_SET_INTERVAL).number(NFTA_SET_KEY_TYPE, kIpv4Address);
    message.number(NFTA_SET_KEY_LEN, sizeof(in_addr));
    add("adding the set " + set, std::move(message));
    if (networks.empty()) return;

    constexpr size_t kEachTakes = 64;
    NftMessage elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, 512 + networks.size() * kEachTakes);
    const auto element = [&](Ipv4 address, uint32_t flags) {
        elements.nest(NFTA_LIST_ELEM, [&] {
            if (flags != 0) elements.number(NFTA_SET_ELEM_FLAGS, flags);
            elements.nest(NFTA_SET_ELEM_KEY, [&] { elements.bytes(NFTA_DATA_VALUE, wire(address)); });
        });
    };
    elements.name(NFTA_SET_ELEM_LIST_TABLE, table_).name(NFTA_SET_ELEM_LIST_SET, set);
    elements.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
        for (const auto& [first, last] : merged(networks)) {
            element(first, 0);
            if (last.value != UINT32_MAX) element({last.value + 1}, NFT_SET_ELEM_INTERVAL_END);
        }
    });
    add("filling the set " + set, std::move(elements));
}

// The kernel wakes for each such set, full or empty, to throw away what has had its time: not once a second, which is
// what it does unless it is told.
void NftBatch::add_flows(const std::string& set) {
    constexpr uint32_t kSweepMs = 30'000;
    constexpr uint32_t kWords = 3;  // a field takes a whole one
    NftMessage message(NFT_MSG_NEWSET, NLM_F_CREATE);
    message.name(NFTA_SET_TABLE, table_).name(NFTA_SET_NAME, set).number(NFTA_SET_ID, ++sets_);
    message.number(NFTA_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT).number(NFTA_SET_KEY_TYPE, kFlow);
    message.number(NFTA_SET_KEY_LEN, kWords * sizeof(uint32_t)).long_number(NFTA_SET_TIMEOUT, kFlowToldMs);
    message.number(NFTA_SET_GC_INTERVAL, kSweepMs);
    message.nest(NFTA_SET_DESC, [&] { message.number(NFTA_SET_DESC_SIZE, kMostFlows); });
    add("adding the set " + set, std::move(message));
}

void NftBatch::add_rule(const std::string& chain, const NftRule& rule) {
    NftMessage message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    message.name(NFTA_RULE_TABLE, table_).name(NFTA_RULE_CHAIN, chain);
    message.bytes(NLA_F_NESTED | NFTA_RULE_EXPRESSIONS, rule.expressions());
    add("adding a rule to the chain " + chain, std::move(message));
}

void NftBatch::change_element(int type, const std::string& set, const std::string& what, const std::string& first,
                              const std::string& last) {
    NftMessage message(type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, 256);
    const auto key = [&](int attribute, const std::string& bytes) {
        message.nest(attribute, [&] { message.bytes(NFTA_DATA_VALUE, bytes); });
    };
    message.name(NFTA_SET_ELEM_LIST_TABLE, table_).name(NFTA_SET_ELEM_LIST_SET, set);
    message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
        message.nest(NFTA_LIST_ELEM, [&] {
            key(NFTA_SET_ELEM_KEY, first);
            if (!last.empty()) key(NFTA_SET_ELEM_KEY_END, last);
        });
    });
    add(what, std::move(message));
}

void NftBatch::add_element(const std::string& set, const std::string& what, const std::string& first,
                           const std::string& last) {
    change_element(NFT_MSG_NEWSETELEM, set, "adding " + what + " to the set " + set, first, last);
}

void NftBatch::delete_element(const std::string& set, const std::string& what, const std::string& first,
                              const std::string& last) {
    change_element(NFT_MSG_DELSETELEM, set, "deleting " + what + " from the set " + set, first, last);
}

void NftBatch::append(NftBatch other) {
    for (Request& message : other.messages_) messages_.push_back(std::move(message));
}

size_t NftBatch::hash() const {
    std::string all;
    for (const Request& request : messages_) {
        const nlmsghdr* header = nlmsg_hdr(request.message.get());
        all.append(reinterpret_cast<const char*>(header), header->nlmsg_len);
    }
    return std::hash<std::string>()(all);
}

std::vector<std::pair<Ipv4, Ipv4>> merged(std::vector<Prefix> networks) {
    std::sort(networks.begin(), networks.end());
    std::vector<std::pair<Ipv4, Ipv4>> pieces;
    for (const Prefix& network : networks) {
        if (!pieces.empty() && network.base.value <= uint64_t{pieces.back().second.value} + 1) {
            pieces.back().second = std::max(pieces.back().second, network.last());
        } else {
            pieces.emplace_back(network.base, network.last());
        }
    }
    return pieces;
}

}  // namespace hutch::netns
