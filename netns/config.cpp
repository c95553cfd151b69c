#include "netns/config.h"

#include <algorithm>
#include <charconv>

namespace hutch::netns {
namespace {

constexpr unsigned kMinLength = 8;
constexpr unsigned kMaxLength = 29;

bool is_name(const std::string& text, size_t limit) {
    return !text.empty() && text.size() <= limit && text.front() >= 'a' && text.front() <= 'z' &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

}  // namespace

std::string Config::link_name(Ipv4 address) const {
    return link_prefix + "-" + std::to_string(address.value - range.base.value);
}

std::optional<Ipv4> Config::address_of_link(std::string_view name) const {
    const std::string prefix = link_prefix + "-";
    if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
    uint32_t offset = 0;
    const auto [end, failure] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), offset);
    if (failure != std::errc() || offset >= range.size()) return std::nullopt;
    const Ipv4 address{range.base.value + offset};
    if (link_name(address) != name) return std::nullopt;
    return address;
}

Result<void> check(const Config& config) {
    if (!is_name(config.link_prefix, 6)) {
        return invalid("link prefix \"" + config.link_prefix +
                       "\" must be 1 to 6 of [a-z0-9], beginning with a letter");
    }
    if (!is_name(config.table, 32)) {
        return invalid("table \"" + config.table + "\" must be 1 to 32 of [a-z0-9], beginning with a letter");
    }
    if (config.range.length < kMinLength || config.range.length > kMaxLength) {
        return invalid("range " + to_string(config.range) + " must be a /8 to a /29");
    }
    return {};
}

}  // namespace hutch::netns
