#include "daemon/run/ending.h"

#include <signal.h>

#include <cstring>
#include <iterator>

namespace hutch::daemon {
namespace {

// What a client may send. No other ends, stops or wakes a command, or is its own to use.
constexpr struct {
    const char* name;
    int number;
} kSignals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
                {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE}, {"TERM", SIGTERM},
                {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"WINCH", SIGWINCH}};

constexpr int64_t kKilledExit = 128 + SIGKILL;  // of a shell whose command was

}  // namespace

const char* exit_reason_of(const RunRecord& run) {
    switch (run.kill_reason) {
        case KillReason::kNone:
            break;
        case KillReason::kCancelled:
            return "cancelled";
        case KillReason::kTimeout:
            return "timeout";
        case KillReason::kOutOfMemory:
            return "out_of_memory";
    }
    return run.signal != 0 ? "signal" : "exited";
}

std::string signal_name(int64_t signal) {
    const char* name = sigabbrev_np(static_cast<int>(signal));
    return name != nullptr ? name : std::to_string(signal);
}

std::optional<int> signal_of(const std::string& name) {
    for (const auto& signal : kSignals) {
        if (name == signal.name) return signal.number;
    }
    return std::nullopt;
}

std::string sentence_of(const RunRecord& run) {
    if (!run.error.empty() || run.kill_reason == KillReason::kCancelled || run.signal == 0) return run.error;
    return "ended by signal " + signal_name(run.signal);
}

std::optional<int64_t> oom_kills_of(const Box& box) {
    if (!box.alive()) return std::nullopt;
    const auto kills = box.life().group.oom_kills();
    if (!kills.ok()) return std::nullopt;
    return static_cast<int64_t>(kills.value());
}

// The kernel counts by box, so of two commands that fail at a time either may be the one it means.
void note_memory(const Box& box, RunRecord& run) {
    if (run.kill_reason != KillReason::kNone || run.exit_code.value_or(0) == 0) return;
    const int64_t killed = oom_kills_of(box).value_or(0) - run.oom_kills;
    if (killed <= 0) return;
    const bool itself = run.signal == SIGKILL;
    if (itself || run.exit_code == kKilledExit) run.kill_reason = KillReason::kOutOfMemory;
    run.error = "out of memory: the kernel killed ";
    if (itself) {
        run.error += run.prompt.substr(0, run.prompt.find(' '));
        if (killed > 1) run.error += " and " + std::to_string(killed - 1) + " more of the box's processes";
    } else {
        run.error += std::to_string(killed) + (killed == 1 ? " process" : " processes") + " of the box while it ran";
    }
    run.error += "; the box is of size " + box.record.size;
}

}  // namespace hutch::daemon
