#include "daemon/config.h"

#include <unistd.h>

#include <algorithm>

namespace hutch::daemon {

uint64_t default_memory_budget() {
    constexpr uint64_t kGiB = 1ULL << 30U;
    const uint64_t host = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    return std::clamp(host / 8, kGiB, 4 * kGiB);
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
