#include "daemon/wire/preview_host.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace hutch::daemon {
namespace {

constexpr size_t kLongestDnsLabel = 63;  // of DNS

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// Written in one way alone: 03000 is no port.
std::optional<uint16_t> parse_port(std::string_view text) {
    uint16_t port = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failure != std::errc() || rest != text.data() + text.size() || text.front() == '0') return {};
    return port;
}

}  // namespace

std::optional<PreviewHost> parse_preview_host(std::string_view host, std::string_view domain) {
    constexpr size_t kLongest = 300;
    if (host.size() > kLongest) return {};
    const std::string lowered = lower(host);
    std::string_view name = lowered;
    if (const size_t colon = name.find(':'); colon != std::string_view::npos) {
        if (!parse_port(name.substr(colon + 1))) return {};
        name = name.substr(0, colon);
    }
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.size() <= domain.size() + 1 || !name.ends_with(domain)) return {};
    name.remove_suffix(domain.size());
    if (!name.ends_with('.')) return {};
    name.remove_suffix(1);
    const size_t dash = name.find('-');
    if (dash == 0 || dash == std::string_view::npos || name.size() > kLongestDnsLabel) return {};
    const std::string_view box = name.substr(0, dash);
    const auto port = parse_port(name.substr(dash + 1));
    if (!port || !std::all_of(box.begin(), box.end(), is_alphanumeric)) return {};
    return PreviewHost{std::string(box), *port};
}

std::string preview_host(const PreviewHost& preview, std::string_view domain) {
    return preview.box + '-' + std::to_string(preview.port) + '.' + std::string(domain);
}

}  // namespace hutch::daemon
