#include "cgroups/events.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

bool means_removed(const Error& error) {
    return error.code == ENODEV || error.code == ENOENT;
}

Result<void> fine_if_removed(Result<void> result) {
    if (!result.ok() && means_removed(result.error())) return {};
    return result;
}

// Whole milliseconds, rounded up: poll must not return just before the deadline only to be called again.
int remaining_ms(Deadline deadline) {
    const auto left = std::chrono::ceil<Millis>(deadline - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
}

}  // namespace

Result<void> wait_for_event(int group, const std::string& key, uint64_t value, Deadline deadline) {
    const UniqueFd events = TRY(open_at(group, kEvents, O_RDONLY));
    for (;;) {
        // The read comes first and arms the next event: poll reports what changed since the last read (kernfs).
        char buffer[256];
        const ssize_t n = pread(events.get(), buffer, sizeof(buffer), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(std::string("reading ") + kEvents);
        const std::optional<uint64_t> now = find_value({buffer, static_cast<size_t>(n)}, key);
        if (!now) return errno_error("reading " + key + " in " + kEvents, EPROTO);
        if (*now == value) return {};
        const int wait = remaining_ms(deadline);
        if (wait == 0) return errno_error("waiting for " + key + " " + std::to_string(value), ETIMEDOUT);
        pollfd change{events.get(), POLLPRI, 0};
        if (poll(&change, 1, wait) < 0 && errno != EINTR) return errno_error(std::string("polling ") + kEvents);
    }
}

Result<void> wait_until_empty(int group, Deadline deadline) {
    return fine_if_removed(wait_for_event(group, kPopulated, 0, deadline));
}

Result<void> kill_all(int group) {
    return fine_if_removed(write_value_at(group, kKill, "1"));
}

}  // namespace hutch::cgroups
