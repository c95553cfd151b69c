#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hutch::netns {

/// The little that a forwarder must know of DNS messages (RFC 1035, section 4). Pure.

constexpr uint16_t kDnsPort = 53;
constexpr size_t kDnsHeader = 12;
/// Longer queries are refused; real ones are far below.
constexpr size_t kMaxDnsQuery = 4096;

struct DnsQuery {
    uint16_t id;
    std::string_view question;  ///< name, type and class, as they stand in the packet
};

/// Nothing unless `packet` is a standard query with exactly one, well-formed question: no update, no notify, no answer.
std::optional<DnsQuery> parse_query(std::string_view packet);

/// True when `packet` is an answer with this id to this question, byte for byte.
bool is_answer(std::string_view packet, uint16_t id, std::string_view question);

void set_dns_id(std::string& packet, uint16_t id);

/// The answer "server failure" to `query` (which parse_query has accepted).
std::string server_failure(std::string_view query);
/// The answer "refused".
std::string refusal(std::string_view query);

}  // namespace hutch::netns
