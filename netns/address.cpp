#include "netns/address.h"

#include <arpa/inet.h>

#include <charconv>

namespace hutch::netns {

std::string to_string(Ipv4 address) {
    char text[INET_ADDRSTRLEN];
    const in_addr raw{htonl(address.value)};
    return inet_ntop(AF_INET, &raw, text, sizeof(text));
}

std::string to_string(const Prefix& prefix) {
    return to_string(prefix.base) + "/" + std::to_string(prefix.length);
}

Result<Ipv4> parse_ipv4(const std::string& text) {
    in_addr raw{};
    if (inet_pton(AF_INET, text.c_str(), &raw) != 1) return invalid("\"" + text + "\" is not an IPv4 address");
    return Ipv4{ntohl(raw.s_addr)};
}

Result<Prefix> parse_prefix(const std::string& text) {
    const size_t slash = text.find('/');
    if (slash == std::string::npos) return invalid("\"" + text + "\" has no prefix length");
    Prefix prefix{TRY(parse_ipv4(text.substr(0, slash))), 0};
    const char* end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data() + slash + 1, end, prefix.length);
    if (failure != std::errc() || rest != end || prefix.length < 1 || prefix.length > 32) {
        return invalid("\"" + text + "\" has no prefix length of 1 to 32");
    }
    if (!prefix.contains(prefix.base)) {
        return invalid("\"" + text + "\" has bits set beyond its prefix length");
    }
    return prefix;
}

sockaddr_in socket_address(Ipv4 address, uint16_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address.value);
    return name;
}

Ipv4 address_of(const sockaddr_in& name) {
    return Ipv4{ntohl(name.sin_addr.s_addr)};
}

}  // namespace hutch::netns
