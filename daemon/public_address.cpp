#include "daemon/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>

namespace hutch::daemon {

bool is_public(const sockaddr& address) {
    if (address.sa_family == AF_INET6) {
        const auto& bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr.s6_addr;
        const bool documentation = bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8;
        const bool transition = bytes[0] == 0x20 && (bytes[1] == 0x02 || (bytes[1] == 0x01 && bytes[2] == 0));
        return (bytes[0] & 0xe0U) == 0x20 && !documentation && !transition;
    }
    if (address.sa_family != AF_INET) return false;
    struct Range {
        uint32_t first;
        unsigned bits;
    };
    static constexpr Range kSpecial[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0a80000, 16}, {0xc6120000, 15},
        {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
    };
    const uint32_t value = ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
    for (const Range& range : kSpecial) {
        if ((value ^ range.first) >> (32 - range.bits) == 0) return false;
    }
    return true;
}

}  // namespace hutch::daemon
