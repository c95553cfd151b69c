#include "cgroups/reclaim.h"

#include "base/file.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {

Result<uint64_t> reclaim_memory(const Parents& parents, const std::string& group) {
    const auto& [dir, v1] = parents.home(Controller::kMemory);
    const std::string usage = group + "/" + (v1 ? kV1MemoryUsage : kMemoryCurrent);
    const uint64_t before = TRY(read_number_at(dir, usage));
    const auto asked = v1 ? write_value_at(dir, group + "/" + kV1MemoryForceEmpty, "0")
                          : write_value_at(dir, group + "/" + kMemoryReclaim, std::to_string(before));
    // EAGAIN: less than all of it could be given back, as is to be expected (cgroup-v2.rst, "memory.reclaim").
    if (!asked.ok() && asked.error().code != EAGAIN) return asked.error();
    const uint64_t after = TRY(read_number_at(dir, usage));
    return before > after ? before - after : 0;
}

}  // namespace hutch::cgroups
