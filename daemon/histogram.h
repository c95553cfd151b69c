#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace hutch::daemon {

/// How many of the times that were measured were at most so long, for each of some fixed bounds, as Prometheus counts.
class Histogram {
  public:
    /// `bounds`: in seconds, growing; they outlive it.
    explicit Histogram(std::span<const double> bounds) : bounds_(bounds), up_to_(bounds.size()) {}

    void add(std::chrono::nanoseconds time) {
        ++count_;
        sum_ += time;
        for (size_t i = 0; i < bounds_.size(); ++i) {
            if (std::chrono::duration<double>(time).count() <= bounds_[i]) ++up_to_[i];
        }
    }

    [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
    /// For each of the bounds, those of the smaller ones included.
    [[nodiscard]] const std::vector<uint64_t>& up_to() const { return up_to_; }
    [[nodiscard]] uint64_t count() const { return count_; }
    [[nodiscard]] std::chrono::nanoseconds sum() const { return sum_; }

  private:
    std::span<const double> bounds_;
    std::vector<uint64_t> up_to_;
    uint64_t count_ = 0;
    std::chrono::nanoseconds sum_{0};
};

}  // namespace hutch::daemon
