#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "netns/nft_rule.h"

namespace hutch::netns {

/// A change of one table of family inet, as messages of one transaction (nft_commit). An error of one names its object.
class NftBatch {
  public:
    explicit NftBatch(std::string table) : table_(std::move(table)) {}

    /// A table of that name must not be there.
    void create_table();
    /// There may be none.
    void remove_table();
    void add_counter(const std::string& name);
    void add_chain(const std::string& name);
    /// The chain that packets come to at a hook (NF_INET_*), at the priority of filters. `otherwise`: NF_ACCEPT or
    /// NF_DROP, for what no rule speaks of.
    void add_chain_at(const std::string& name, uint32_t hook, uint32_t otherwise);
    /// A set of addresses: those of these networks, which may overlap.
    void add_networks(const std::string& set, const std::vector<Prefix>& networks);
    /// A set of flows that packets come into (NftRule::tell_once), each for kFlowToldMs; kMostFlows at most.
    void add_flows(const std::string& set);
    static constexpr uint64_t kFlowToldMs = 10'000;
    static constexpr uint32_t kMostFlows = 256;
    /// To the end of a chain.
    void add_rule(const std::string& chain, const NftRule& rule);

    /// Elements of a set, by their bytes. `last`: where the set is of ranges of concatenated fields. `what` names the
    /// element in an error.
    void add_element(const std::string& set, const std::string& what, const std::string& first,
                     const std::string& last);
    void delete_element(const std::string& set, const std::string& what, const std::string& first,
                        const std::string& last);

    /// All messages of `other` behind those of this one.
    void append(NftBatch other);
    /// Differs, all but surely, where the messages do.
    [[nodiscard]] size_t hash() const;
    [[nodiscard]] const std::vector<Request>& messages() const { return messages_; }

  private:
    void add(const std::string& what, NftMessage message);
    void change_element(int type, const std::string& set, const std::string& what, const std::string& first,
                        const std::string& last);

    std::string table_;
    std::vector<Request> messages_;
    uint32_t sets_ = 0;
};

/// The first and the last address of each piece that networks are made of, in order.
std::vector<std::pair<Ipv4, Ipv4>> merged(std::vector<Prefix> networks);

}  // namespace hutch::netns
