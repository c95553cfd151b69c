#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "netns/address.h"

namespace hutch::netns {

/// What the host's side of all boxes is called and where it lives. Two daemons on one host differ in every member,
/// and their links ("hutch-7") are told apart by the dash behind the prefix.
struct Config {
    Prefix range{{0xC6120000}, 16};  ///< half of what is set apart for benchmarks (RFC 2544): no network uses it
    std::string table = "hutch";     ///< of nftables, family inet
    std::string link_prefix = "hutch";
    std::string resolv_conf = "/etc/resolv.conf";
    uint16_t service = 0;  ///< a TCP port of the gateway that boxes may reach beside DNS; 0: none

    uint16_t relay = 8734;  ///< a TCP port of the gateway, where boxes' connections arrive that the host passes on

    uint32_t packets_per_second = 20'000;  ///< that a box may send; a packet holds up to 64 KiB of TCP

    /// The host's address on every veth, and the boxes' name server.
    [[nodiscard]] Ipv4 gateway() const { return {range.base.value + 1}; }
    /// Link numbers are offsets into the range, so that name and address are unique together.
    [[nodiscard]] std::string link_name(Ipv4 address) const;
    /// The reverse; nothing for a link that is not ours, however much it looks like it.
    [[nodiscard]] std::optional<Ipv4> address_of_link(std::string_view name) const;
};

/// kInvalid unless the names may stand in a ruleset and the range has room for a box. Lengths: a link's name is at most
/// 15 characters (IFNAMSIZ), so the prefix at most 6.
Result<void> check(const Config& config);

}  // namespace hutch::netns
