#include "client/latencies.h"

#include <algorithm>
#include <cmath>

namespace hutch::client {
namespace {

double percentile(const std::vector<double>& sorted, double percent) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
    return sorted[std::max<size_t>(rank, 1) - 1];
}

}  // namespace

Latencies latencies_of(std::vector<double> ms) {
    if (ms.empty()) return {};
    std::sort(ms.begin(), ms.end());
    return {ms.front(), percentile(ms, 50), percentile(ms, 95), percentile(ms, 99), ms.back()};
}

double leaderboard_score(std::vector<double> ms, size_t asked) {
    if (ms.empty()) return 0;
    constexpr double kNothing = 10'000;
    const double succeeded = static_cast<double>(ms.size()) / static_cast<double>(asked);
    std::sort(ms.begin(), ms.end());
    const auto cut = static_cast<std::ptrdiff_t>(ms.size() / 20);
    const Latencies middle = latencies_of({ms.begin() + cut, ms.end() - cut});
    const auto of = [](double value) { return 100 * std::max(0.0, 1 - value / kNothing); };
    return (0.60 * of(middle.median) + 0.25 * of(middle.p95) + 0.15 * of(middle.p99)) * succeeded;
}

}  // namespace hutch::client
