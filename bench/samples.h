#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace hutch::bench {

/// Times of single operations, in microseconds.
class Samples {
  public:
    using Clock = std::chrono::steady_clock;

    /// Runs the operation, which is the benchmark's iteration.
    template <typename F>
    void time(benchmark::State& state, F operation) {
        state.SetIterationTime(measure(operation) / 1e6);
    }
    /// Runs the operation beside the iteration; how long it took.
    template <typename F>
    double measure(F operation) {
        const auto begin = Clock::now();
        operation();
        add(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        return values_.back();
    }
    void add(double microseconds) { values_.push_back(microseconds); }
    double at(double quantile) const {
        std::vector<double> sorted = values_;
        std::sort(sorted.begin(), sorted.end());
        return sorted.empty() ? 0 : sorted[static_cast<size_t>(quantile * static_cast<double>(sorted.size() - 1))];
    }
    void report(benchmark::State& state, const std::string& prefix = "") const {
        state.counters[prefix + "p50_us"] = at(0.5);
        state.counters[prefix + "p99_us"] = at(0.99);
    }

  private:
    std::vector<double> values_;
};

}  // namespace hutch::bench
