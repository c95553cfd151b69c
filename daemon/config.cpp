#include "daemon/config.h"

namespace hutch::daemon {

const Size* find_size(const std::string& name) {
    constexpr uint64_t kGiB = 1ULL << 30U;
    static const Size kSizes[] = {{"small", 2, 4 * kGiB}, {"medium", 4, 8 * kGiB}, {"large", 8, 16 * kGiB}};
    for (const Size& size : kSizes) {
        if (name == size.name) return &size;
    }
    return nullptr;
}

}  // namespace hutch::daemon
