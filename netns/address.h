#pragma once

#include <netinet/in.h>

#include <compare>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace hutch::netns {

/// An IPv4 address in host byte order, so that it can be counted with.
struct Ipv4 {
    uint32_t value = 0;
    // clang-tidy 14 takes what the compiler makes of it for a 0.
    auto operator<=>(const Ipv4&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// `base` has no bit beyond `length` (1 to 32) set.
struct Prefix {
    Ipv4 base;
    unsigned length = 0;

    [[nodiscard]] uint32_t size() const { return uint32_t{1} << (32 - length); }
    [[nodiscard]] bool contains(Ipv4 address) const { return (address.value & ~(size() - 1)) == base.value; }
    [[nodiscard]] Ipv4 last() const { return {base.value + (size() - 1)}; }
    auto operator<=>(const Prefix&) const = default;  // NOLINT(modernize-use-nullptr)
};

std::string to_string(Ipv4 address);
std::string to_string(const Prefix& prefix);
/// Dotted decimal only; kInvalid names the text.
Result<Ipv4> parse_ipv4(const std::string& text);
/// "198.18.0.0/15"; bits beyond the length are refused rather than cut off.
Result<Prefix> parse_prefix(const std::string& text);

sockaddr_in socket_address(Ipv4 address, uint16_t port);
Ipv4 address_of(const sockaddr_in& name);

}  // namespace hutch::netns
