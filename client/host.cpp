#include "client/host.h"

#include <algorithm>

namespace hutch::client {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_port(std::string_view text) {
    if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) return false;
    const int port = std::stoi(std::string(text));
    return port > 0 && port <= 65535;
}

Result<Host> bad_host(std::string_view text, std::string_view why) {
    return invalid("the host \"" + std::string(text) + "\" " + std::string(why) +
                   "; use unix:///path/to/socket, https://address:port or http://address:port");
}

}  // namespace

Result<Host> parse_host(std::string_view text) {
    constexpr std::string_view kUnixScheme = "unix://";
    constexpr std::string_view kHttpScheme = "http://";
    constexpr std::string_view kHttpsScheme = "https://";
    Host host;
    host.text = text;
    if (text.starts_with(kUnixScheme)) {
        host.path = text.substr(kUnixScheme.size());
        if (!host.path.starts_with('/')) return bad_host(text, "has no absolute socket path");
        if (host.path.size() > 107) return bad_host(text, "is longer than the 107 bytes a socket path may have");
        return host;
    }
    host.tls = text.starts_with(kHttpsScheme);
    if (!host.tls && !text.starts_with(kHttpScheme)) return bad_host(text, "is of no known kind");

    host.kind = Host::Kind::kTcp;
    std::string_view rest = text.substr((host.tls ? kHttpsScheme : kHttpScheme).size());
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find_first_of("/?#@") != std::string_view::npos) return bad_host(text, "may have nothing but a port");
    // The colons inside an IPv6 literal's brackets do not start a port.
    const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
    if (rest.starts_with('[') && bracket == std::string_view::npos) return bad_host(text, "has an open bracket");
    const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
    host.port = host.tls ? "443" : "80";
    if (colon != std::string_view::npos) host.port = rest.substr(colon + 1);
    host.name = rest.substr(0, colon);
    if (bracket != std::string_view::npos) {
        if (host.name.size() != bracket + 1) return bad_host(text, "has something between address and port");
        host.name = host.name.substr(1, bracket - 1);
    }
    if (host.name.empty()) return bad_host(text, "has no address");
    if (!is_port(host.port)) return bad_host(text, "has no valid port");
    return host;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            encoded += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        encoded += '%';
        encoded += kHex[byte >> 4U];
        encoded += kHex[byte & 15U];
    }
    return encoded;
}

}  // namespace hutch::client
