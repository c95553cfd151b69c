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

// The value behind `key`. Reading arms the next event: poll reports what changed since the last read (kernfs).
Result<uint64_t> read_event(int events, const std::string& key) {
    char buffer[256];
    ssize_t n = 0;
    do {
        n = pread(events, buffer, sizeof(buffer), 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno_error(std::string("reading ") + kEvents);
    const std::optional<uint64_t> value = find_value({buffer, static_cast<size_t>(n)}, key);
    if (!value) return errno_error("reading " + key + " in " + kEvents, EPROTO);
    return *value;
}

}  // namespace

Result<bool> look_for_event(int group, const std::string& key, uint64_t value) {
    constexpr std::chrono::microseconds kPatience{200};
    const Deadline deadline = std::chrono::steady_clock::now() + kPatience;
    const UniqueFd events = TRY(open_at(group, kEvents, O_RDONLY));
    do {
        if (TRY(read_event(events.get(), key)) == value) return true;
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
}

Result<void> wait_for_event(int group, const std::string& key, uint64_t value, Deadline deadline) {
    const UniqueFd events = TRY(open_at(group, kEvents, O_RDONLY));
    for (;;) {
        if (TRY(read_event(events.get(), key)) == value) return {};
        const int wait = remaining_ms(deadline);
        if (wait == 0) return errno_error("waiting for " + key + " " + std::to_string(value), ETIMEDOUT);
        pollfd change{events.get(), POLLPRI, 0};
        if (poll(&change, 1, wait) < 0 && errno != EINTR) return errno_error(std::string("polling ") + kEvents);
    }
}

Result<void> wait_until_empty(int group, Deadline deadline) {
    return fine_if_removed(wait_for_event(group, kPopulated, 0, deadline));
}

Result<bool> is_empty(int events) {
    const Result<uint64_t> populated = read_event(events, kPopulated);
    if (populated.ok()) return populated.value() == 0;
    if (means_removed(populated.error())) return true;
    return populated.error();
}

Result<void> kill_all(int group) {
    return fine_if_removed(write_value_at(group, kKill, "1"));
}

}  // namespace hutch::cgroups
