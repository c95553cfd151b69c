#include "cgroups/stats.h"

#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {

Result<Stats> read_stats(const Parents& parents, const std::string& name, int group) {
    const auto& [dir, v1] = parents.home(Controller::kMemory);
    const std::string in = name + "/";
    Stats stats;
    stats.cpu_ns = TRY(read_cpu_ns(group));
    stats.memory_bytes = TRY(read_number_at(dir, in + (v1 ? kV1MemoryUsage : kMemoryCurrent)));
    stats.memory_peak_bytes = TRY(read_number_at(dir, in + (v1 ? kV1MemoryPeak : kMemoryPeak)));
    stats.oom_kills = TRY(read_oom_kills(parents, name));
    return stats;
}

Result<uint64_t> read_oom_kills(const Parents& parents, const std::string& name) {
    const auto& [dir, v1] = parents.home(Controller::kMemory);
    return read_value_at(dir, name + "/" + (v1 ? kV1OomControl : kMemoryEvents), kOomKill);
}

}  // namespace hutch::cgroups
