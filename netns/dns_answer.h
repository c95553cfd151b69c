#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/address.h"

namespace hutch::netns {

/// Questions and answers of boxes that may talk to some names alone: what goes either way is written anew, so that
/// neither a name server nor a box tells the other anything but a name and addresses. Pure.

struct DnsQuestion {
    std::string name;  ///< as host_name() gives it
    bool address;      ///< it asks for IPv4 addresses
};

/// `question` as parse_query() gives it. Nothing where its name is none of a host, or its class not the Internet: a
/// label may hold any byte, a dot among them.
std::optional<DnsQuestion> read_question(std::string_view question);

/// The query for the addresses of `name`, with no more in it, and room for an answer of 1232 bytes (RFC 6891).
std::string address_query(uint16_t id, const std::string& name);

struct DnsAddress {
    Ipv4 address;
    uint32_t seconds;  ///< that it may be kept
    bool operator==(const DnsAddress&) const = default;
};

/// What a server has said of a name: RCODE, and the addresses of the name or of what its CNAMEs in the same answer lead
/// to. There are at most kMostRecords of them looked at.
struct DnsAnswer {
    unsigned code = 0;
    std::vector<DnsAddress> addresses;
};
constexpr size_t kMostRecords = 256;

/// Nothing where the packet, an answer to address_query() by is_answer(), does not hold what it says.
std::optional<DnsAnswer> parse_answer(std::string_view packet, const std::string& name);

/// The answer to `query`, which parse_query() has accepted: these addresses, as the name's own. At most as many as fit
/// into the 512 bytes that every client takes (RFC 1035, 4.2.1). None: there is no such record.
std::string address_answer(std::string_view query, const std::vector<DnsAddress>& addresses);
constexpr size_t kMostAnswered = 15;

/// The answer "there is no such name".
std::string no_such_name(std::string_view query);

}  // namespace hutch::netns
