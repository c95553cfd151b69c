#pragma once

#include <cstddef>
#include <vector>

namespace hutch::client {

/// What many measurements come to. Milliseconds; a percentile is the smallest one that so many in a hundred do not
/// exceed. All 0 when there is none.
struct Latencies {
    double min = 0;
    double median = 0;
    double p95 = 0;
    double p99 = 0;
    double max = 0;
};
Latencies latencies_of(std::vector<double> ms);

/// 0 to 100, as the public leaderboards of sandboxes count it: median, p95 and p99, without the fastest and the slowest
/// twentieth, weigh 60, 25 and 15, 10 s and more count for nothing, and all of it counts as far as calls of `asked`
/// succeeded.
double leaderboard_score(std::vector<double> ms, size_t asked);

}  // namespace hutch::client
