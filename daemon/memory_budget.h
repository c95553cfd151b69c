#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"

namespace hutch::daemon {

/// Memory that callers fill: bodies of requests, and answers while they are made. Nobody holds more than a part of what
/// the others leave, so however many callers there are, the next one finds some. Any thread may use it.
class MemoryBudget {
  public:
    /// `all`: bytes. `part`: one caller may hold at most 1/(part + 1) of what the others leave.
    explicit MemoryBudget(size_t all, size_t part = 1) : all_(all), part_(part) {}

    /// kLimit when `who` would hold more than its part: with code EBUSY where the others hold more than it would, else
    /// ENOBUFS.
    Result<void> take(const std::string& who, size_t bytes);
    void give(const std::string& who, size_t bytes);
    [[nodiscard]] size_t held() const;

  private:
    const size_t all_;
    const size_t part_;
    mutable std::mutex mutex_;
    size_t held_ = 0;
    std::map<std::string, size_t> by_caller_;
};

/// What one request holds of a budget; given back at its end.
class MemoryShare {
  public:
    MemoryShare(std::shared_ptr<MemoryBudget> budget, std::string who)
        : budget_(std::move(budget)), who_(std::move(who)) {}
    MemoryShare(const MemoryShare&) = delete;
    MemoryShare& operator=(const MemoryShare&) = delete;
    ~MemoryShare() { shrink(held_); }

    /// Before so many bytes more are held. One thread at a time.
    Result<void> grow(size_t bytes) {
        TRY(budget_->take(who_, bytes));
        held_ += bytes;
        return {};
    }
    void shrink(size_t bytes) {
        budget_->give(who_, bytes);
        held_ -= bytes;
    }
    [[nodiscard]] size_t held() const { return held_; }

  private:
    std::shared_ptr<MemoryBudget> budget_;
    std::string who_;
    size_t held_ = 0;
};

}  // namespace hutch::daemon
