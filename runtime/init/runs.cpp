// The runs, from their start until the daemon has taken their end: a daemon may be killed at any time, and what only it
// held would be lost with it.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
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

// What a command left in the background may write on for as long as it likes: a pipe that nobody reads would stop it,
// and one that is closed would end it (SIGPIPE). What it writes goes nowhere, at the expense of its box.
int g_drains = -1;  // an epoll of the pipes
char g_nowhere[64 * 1024];

bool may_be_written(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) return false;  // closing a terminal hangs it up
    pollfd writers{fd, POLLIN, 0};
    return poll(&writers, 1, 0) >= 0 && (writers.revents & POLLHUP) == 0;
}

bool start_drain(int fd) {
    if (g_drains < 0) g_drains = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && epoll_ctl(g_drains, EPOLL_CTL_ADD, fd, &event) == 0;
}

void let_go(int fd) {
    if (!may_be_written(fd) || !start_drain(fd)) close(fd);
}

}  // namespace

int drains() {
    return g_drains;
}

void drain_some() {
    epoll_event ready[4];
    const int count = epoll_wait(g_drains, ready, 4, 0);
    for (int i = 0; i < count; ++i) {
        const int fd = ready[i].data.fd;
        const ssize_t n = read(fd, g_nowhere, sizeof(g_nowhere));
        if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) continue;
        epoll_ctl(g_drains, EPOLL_CTL_DEL, fd, nullptr);  // the daemon may have it open still
        close(fd);
    }
}

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
        for (size_t k = 0; k < run.kept_count; ++k) let_go(run.kept[k]);
        if (run.ended && !run.told) --g_untold;
        run = g_runs[--g_count];
        return;
    }
}

// Its pid is its process group's, since it began as the leader of a session; and it is still its own, since nobody but
// us reaps it.
void signal_run(uint64_t id, int signal) {
    for (size_t i = 0; i < g_count; ++i) {
        if (g_runs[i].id == id && !g_runs[i].ended) kill(-g_runs[i].pid, signal);
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
