#include "daemon/lag_meter.h"

#include <ctime>

#include <algorithm>

namespace hutch::daemon {
namespace {

// A call that tests listen to (tests/e2e/turns.cpp).
std::chrono::nanoseconds cpu_time() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

void LagMeter::run() {
    ring_in_a_second();
    auto marked = Clock::now();
    auto cpu = cpu_time();
    auto begin = marked;
    while (loop_.run_one() != 0) {
        const auto end = Clock::now();
        if (end - marked >= kShort) {
            const auto cpu_before = std::exchange(cpu, cpu_time());
            // A turn that has waited before it began was long by this clock, and not by that one.
            if (end - begin >= kShort) figures_.longest_turn = std::max(figures_.longest_turn, cpu - cpu_before);
            marked = end;
        }
        begin = end;
    }
}

void LagMeter::ring_in_a_second() {
    const auto due = Clock::now() + std::chrono::seconds(1);
    timer_.expires_at(due);
    timer_.async_wait([this, due](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        note_lag(Clock::now() - due);
        ring_in_a_second();
    });
}

void LagMeter::note_lag(std::chrono::nanoseconds late) {
    figures_.lag.add(late);
    figures_.latest = std::max(figures_.latest, late);
}

}  // namespace hutch::daemon
