#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::cgroups {

/// The number behind `key` in a flat keyed file ("key number\n" lines), if it is there.
std::optional<uint64_t> find_value(std::string_view flat_keyed, std::string_view key);

/// The number a file holds, or the one behind `key` in a flat keyed file; EPROTO when it holds none.
Result<uint64_t> read_number_at(int dir, const std::string& path);
Result<uint64_t> read_value_at(int dir, const std::string& path, std::string_view key);

/// CPU time used so far by all that ever ran in the group and below it, in nanoseconds (the kernel rounds down to
/// microseconds). cpu.stat's usage is a core figure: it needs no controller (cgroup-v2.rst, "CPU Interface Files").
Result<uint64_t> read_cpu_ns(int group);

/// Names of the groups directly below `dir`/`name`; none if that does not exist.
Result<std::vector<std::string>> list_groups(int dir, const std::string& name);
/// Removes the empty group `name` in `dir`. A missing one is fine; EBUSY while processes or groups are in it.
Result<void> remove_group_at(int dir, const std::string& name);

}  // namespace hutch::cgroups
