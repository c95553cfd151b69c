#include "daemon/config.h"

namespace hutch::daemon {

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
