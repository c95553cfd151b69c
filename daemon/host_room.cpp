#include "daemon/host_room.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"

namespace hutch::daemon {
namespace {

Result<std::string> read_proc(const std::string& name) {
    return read_file_at(AT_FDCWD, "/proc/" + name);
}

/// The first number behind `key`; 0 where there is none.
int64_t number_after(std::string_view text, std::string_view key) {
    const size_t at = text.find(key);
    if (at == std::string_view::npos) return 0;
    text.remove_prefix(std::min(text.find_first_of("0123456789", at + key.size()), text.size()));
    int64_t number = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

}  // namespace

Result<HostRoom> host_room() {
    const std::string memory = TRY(read_proc("meminfo"));
    const std::string load = TRY(read_proc("loadavg"));  // "0.20 0.18 0.12 1/80 11206": 80 tasks
    const std::string pids = TRY(read_proc("sys/kernel/pid_max"));
    const std::string threads = TRY(read_proc("sys/kernel/threads-max"));
    constexpr int64_t kKiB = 1024;
    return HostRoom{.memory_bytes = number_after(memory, "MemTotal:") * kKiB,
                    .available_bytes = number_after(memory, "MemAvailable:") * kKiB,
                    .most_tasks = std::min(number_after(pids, ""), number_after(threads, "")),
                    .tasks = number_after(load, "/")};
}

Result<void> check_room(const HostRoom& room) {
    constexpr int64_t kMiB = 1 << 20;
    const int64_t least = std::min(room.memory_bytes / 32, 512 * kMiB);
    if (room.available_bytes < least) {
        return Error{ErrorKind::kLimit, 0,
                     fmt::format("host: {} MiB of its {} MiB of memory are left, too little for one more box; delete "
                                 "or pause some",
                                 room.available_bytes / kMiB, room.memory_bytes / kMiB)};
    }
    if (room.tasks > room.most_tasks / 10 * 9) {
        return Error{ErrorKind::kLimit, 0,
                     fmt::format("host: it has {} of at most {} processes and threads, too many for one more box; "
                                 "delete some, or raise kernel.pid_max and kernel.threads-max",
                                 room.tasks, room.most_tasks)};
    }
    return {};
}

cgroups::Sums share_of(const HostRoom& room) {
    return {.memory_bytes = static_cast<uint64_t>(room.memory_bytes) / 4 * 3,
            .pids = static_cast<uint32_t>(room.most_tasks / 2)};
}

}  // namespace hutch::daemon
