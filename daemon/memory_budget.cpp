#include "daemon/memory_budget.h"

namespace hutch::daemon {

Result<void> MemoryBudget::take(const std::string& who, size_t bytes) {
    const std::lock_guard guard(mutex_);
    const auto found = by_caller_.find(who);
    const size_t own = (found == by_caller_.end() ? 0 : found->second) + bytes;
    const size_t others = held_ + bytes - own;
    if (own > (all_ - others) / (part_ + 1)) {
        if (own < others) {
            return Error{ErrorKind::kLimit, EBUSY,
                         "memory: other requests hold what this host has for them; try again"};
        }
        return Error{ErrorKind::kLimit, ENOBUFS,
                     "memory: your requests and their answers hold as much as one customer's may; "
                     "try again when one of them is done"};
    }
    held_ += bytes;
    if (bytes != 0) by_caller_[who] = own;
    return {};
}

void MemoryBudget::give(const std::string& who, size_t bytes) {
    if (bytes == 0) return;
    const std::lock_guard guard(mutex_);
    held_ -= bytes;
    const auto found = by_caller_.find(who);
    if ((found->second -= bytes) == 0) by_caller_.erase(found);
}

size_t MemoryBudget::held() const {
    const std::lock_guard guard(mutex_);
    return held_;
}

}  // namespace hutch::daemon
