#include "cgroups/limits.h"

#include "base/file.h"
#include "cgroups/names.h"

namespace hutch::cgroups {
namespace {

// The kernel's own default period, which a fresh group has.
constexpr uint64_t kCpuPeriodUs = 100'000;

// Of the memory, what sockets may hold beside it on v1. Enough for a few hundred busy connections of a small box.
constexpr uint64_t kSocketShare = 8;

Result<void> limit_memory(const Parents& parents, const std::string& group, uint64_t bytes) {
    const Parents::Home& home = parents.home(Controller::kMemory);
    const std::string limit = std::to_string(bytes);
    if (!home.v1) {
        TRY(write_value_at(home.dir, group + "/" + kMemoryMax, limit));
        return parents.swap_limits ? write_value_at(home.dir, group + "/" + kMemorySwapMax, "0") : Result<void>();
    }
    // Memory first: v1 refuses a memory + swap limit that is below the memory limit (cgroup-v1/memory.rst).
    TRY(write_value_at(home.dir, group + "/" + kV1MemoryLimit, limit));
    // v1 counts what sockets hold apart, and only where that has a limit; despite its name, of UDP too
    // (mem_cgroup_sk_alloc() in mm/memcontrol.c). Without one, a box could take all of the host's tcp_mem.
    if (parents.socket_limits) {
        TRY(write_value_at(home.dir, group + "/" + kV1SocketMemoryLimit, std::to_string(bytes / kSocketShare)));
    }
    return parents.swap_limits ? write_value_at(home.dir, group + "/" + kV1MemorySwapLimit, limit) : Result<void>();
}

Result<void> limit_cpu(const Parents& parents, const std::string& group, uint32_t cpus) {
    const Parents::Home& home = parents.home(Controller::kCpu);
    return write_value_at(home.dir, group + "/" + (home.v1 ? kV1CpuQuota : kCpuMax),
                          std::to_string(cpus * kCpuPeriodUs));
}

Result<void> limit_pids(const Parents& parents, const std::string& group, uint32_t pids) {
    return write_value_at(parents.home(Controller::kPids).dir, group + "/" + kPidsMax, std::to_string(pids));
}

}  // namespace

Result<void> apply_sums(const Parents& parents, const std::string& group, const Sums& sums) {
    if (sums.memory_bytes != 0) TRY(limit_memory(parents, group, sums.memory_bytes));
    return sums.pids != 0 ? limit_pids(parents, group, sums.pids) : Result<void>();
}

Result<void> apply_limits(const Parents& parents, const std::string& group, const Limits& limits) {
    TRY(limit_memory(parents, group, limits.memory_bytes));
    TRY(limit_cpu(parents, group, limits.cpus));
    return limit_pids(parents, group, limits.pids);
}

}  // namespace hutch::cgroups
