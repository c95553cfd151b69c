#include "netns/dns_message.h"

namespace hutch::netns {
namespace {

constexpr size_t kMaxName = 255;
constexpr unsigned kMaxLabel = 63;
constexpr size_t kTypeAndClass = 4;

// In the header's third byte.
constexpr unsigned kResponse = 0x80;
constexpr unsigned kOpcode = 0x78;
constexpr unsigned kTruncated = 0x02;
// In the fourth.
constexpr unsigned kServerFailure = 2;
constexpr unsigned kRefused = 5;

unsigned byte(std::string_view packet, size_t at) {
    return static_cast<unsigned char>(packet[at]);
}
uint16_t word(std::string_view packet, size_t at) {
    return static_cast<uint16_t>(byte(packet, at) << 8 | byte(packet, at + 1));
}

// The first question; a name in it cannot be compressed, since nothing stands before it.
std::optional<std::string_view> first_question(std::string_view packet) {
    size_t at = kDnsHeader;
    for (;;) {
        if (at >= packet.size() || at - kDnsHeader >= kMaxName) return std::nullopt;
        const unsigned label = byte(packet, at);
        if (label > kMaxLabel) return std::nullopt;
        at += 1 + label;
        if (label == 0) break;
    }
    if (at + kTypeAndClass > packet.size()) return std::nullopt;
    return packet.substr(kDnsHeader, at + kTypeAndClass - kDnsHeader);
}

std::string failure(std::string_view query, unsigned code) {
    const auto question = first_question(query);
    std::string answer(query.substr(0, kDnsHeader + (question ? question->size() : 0)));
    answer[2] = static_cast<char>((byte(query, 2) | kResponse) & ~kTruncated);
    answer[3] = static_cast<char>(code);
    answer.replace(4, kDnsHeader - 4, question ? std::string("\0\1\0\0\0\0\0\0", 8) : std::string(8, '\0'));
    return answer;
}

}  // namespace

std::optional<DnsQuery> parse_query(std::string_view packet) {
    if (packet.size() < kDnsHeader || packet.size() > kMaxDnsQuery) return std::nullopt;
    if ((byte(packet, 2) & (kResponse | kOpcode)) != 0 || word(packet, 4) != 1) return std::nullopt;
    const auto question = first_question(packet);
    if (!question) return std::nullopt;
    return DnsQuery{word(packet, 0), *question};
}

bool is_answer(std::string_view packet, uint16_t id, std::string_view question) {
    return packet.size() >= kDnsHeader && word(packet, 0) == id && (byte(packet, 2) & kResponse) != 0 &&
           word(packet, 4) == 1 && packet.substr(kDnsHeader, question.size()) == question;
}

void set_dns_id(std::string& packet, uint16_t id) {
    packet[0] = static_cast<char>(id >> 8);
    packet[1] = static_cast<char>(id & 0xFF);
}

std::string server_failure(std::string_view query) {
    return failure(query, kServerFailure);
}

std::string refusal(std::string_view query) {
    return failure(query, kRefused);
}

}  // namespace hutch::netns
