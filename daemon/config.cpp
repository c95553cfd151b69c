#include "daemon/config.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace hutch::daemon {

uint64_t default_memory_budget() {
    constexpr uint64_t kGiB = 1ULL << 30U;
    const uint64_t host = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return std::clamp(host / 8, kGiB, 4 * kGiB);
}

std::optional<Endpoint> parse_endpoint(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos) return std::nullopt;
    Endpoint endpoint{text.substr(0, colon)};
    const char* const end = text.data() + text.size();
    const auto [rest, failure] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
    if (failure != std::errc() || rest != end || endpoint.port == 0) return std::nullopt;
    std::string& address = endpoint.address;
    if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
    }
    in6_addr parsed{};
    if (inet_pton(AF_INET, address.c_str(), &parsed) == 1 || inet_pton(AF_INET6, address.c_str(), &parsed) == 1) {
        return endpoint;
    }
    return std::nullopt;
}

const Size* find_size(const std::string& name) {
    constexpr uint64_t kGiB = 1ULL << 30U;
    constexpr uint64_t kInodes = 200'000;  // a GiB: files of 5 KiB on average
    static const Size kSizes[] = {{"small", 2, 4 * kGiB, 5 * kGiB, 5 * kInodes},
                                  {"medium", 4, 8 * kGiB, 10 * kGiB, 10 * kInodes},
                                  {"large", 8, 16 * kGiB, 20 * kGiB, 20 * kInodes}};
    for (const Size& size : kSizes) {
        if (name == size.name) return &size;
    }
    return nullptr;
}

}  // namespace hutch::daemon
