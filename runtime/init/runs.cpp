// The runs, from their start until the daemon has taken their end: a daemon may be killed at any time, and what only it
// held would be lost with it.

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

// Bounded by the box's pids limit; a run beyond it is refused before it is started.
constexpr size_t kMaxRuns = 4096;

struct HeldRun {
    uint64_t id;
    pid_t pid;
    int status;  // as wait(2) gives it, once `ended`
    bool ended;  // `pid` may be another process's by now
    bool told;   // of its end
    int kept[kMaxKept];
    size_t kept_count;
};
HeldRun g_runs[kMaxRuns];
size_t g_count = 0;
size_t g_untold = 0;  // ends

void note_end(pid_t pid, int status) {
    for (size_t i = 0; i < g_count; ++i) {
        HeldRun& run = g_runs[i];
        if (run.ended || run.pid != pid) continue;
        run.ended = true;
        run.status = status;
        ++g_untold;
        return;
    }
}

}  // namespace

bool runs_full() {
    return g_count == kMaxRuns;
}

void hold_run(uint64_t id, pid_t pid, const int* kept, size_t count) {
    HeldRun& run = g_runs[g_count++];
    run = {};
    run.id = id;
    run.pid = pid;
    run.kept_count = count;
    for (size_t i = 0; i < count; ++i) run.kept[i] = kept[i];
}

void forget_run(uint64_t id) {
    for (size_t i = 0; i < g_count; ++i) {
        HeldRun& run = g_runs[i];
        if (run.id != id) continue;
        for (size_t k = 0; k < run.kept_count; ++k) close(run.kept[k]);
        if (run.ended && !run.told) --g_untold;
        run = g_runs[--g_count];
        return;
    }
}

void reap_all() {
    for (;;) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) return;
        note_end(pid, status);
    }
}

bool tell_ends() {
    for (size_t i = 0; i < g_count && g_untold > 0; ++i) {
        HeldRun& run = g_runs[i];
        if (!run.ended || run.told) continue;
        Reply reply{};
        reply.type = MessageType::kExited;
        reply.run_id = run.id;
        reply.code = run.status;
        if (!try_reply(reply)) return false;
        run.told = true;
        --g_untold;
    }
    return true;
}

void report_runs(uint64_t number) {
    for (size_t i = 0; i < g_count; ++i) {
        HeldRun& run = g_runs[i];
        Reply reply{};
        reply.type = MessageType::kHeld;
        reply.run_id = run.id;
        reply.pid = run.ended ? 0 : run.pid;
        send_reply(reply, run.kept, run.kept_count);
        if (run.ended && run.told) {
            run.told = false;
            ++g_untold;
        }
    }
    Reply end{};
    end.type = MessageType::kReportEnd;
    end.run_id = number;
    send_reply(end);
}

}  // namespace hutch::runtime::init
