#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

// Bounded by the box's pids limit; a run beyond it is refused before it is started.
constexpr size_t kMaxRuns = 4096;
struct ActiveRun {
    uint64_t id;
    pid_t pid;
};
ActiveRun g_runs[kMaxRuns];
size_t g_run_count = 0;
Packet g_packet;  // zero pages until touched

void handle_request(const Context& context) {
    if (!receive(g_packet)) {
        // Our duplicate of the daemon's end keeps the pair open: a closed peer cannot happen, a bad packet is dropped.
        return;
    }
    const Run* run = reinterpret_cast<const Run*>(g_packet.bytes);
    if (g_packet.size < sizeof(Run) || run->type != MessageType::kRun) {
        errno = EPROTO;
        send_reply(failure(Stage::kReceive, "request"));
    } else if (g_run_count == kMaxRuns) {
        errno = EAGAIN;
        send_reply(failure(Stage::kLeaf, "too many commands", run->run_id));
    } else {
        int terminal = -1;
        const Reply reply = start_command(g_packet, context, terminal);
        if (reply.type == MessageType::kStarted) g_runs[g_run_count++] = {reply.run_id, reply.pid};
        send_reply(reply, terminal);
        if (terminal >= 0) close(terminal);
    }
    for (size_t i = 0; i < g_packet.fd_count; ++i) close(g_packet.fds[i]);
}

void reap_all() {
    for (;;) {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) return;
        for (size_t i = 0; i < g_run_count; ++i) {
            if (g_runs[i].pid != pid) continue;
            Reply reply{};
            reply.type = MessageType::kExited;
            reply.run_id = g_runs[i].id;
            reply.pid = pid;
            reply.code = status;
            g_runs[i] = g_runs[--g_run_count];
            send_reply(reply);
            break;
        }
    }
}

[[noreturn]] void serve(const Context& context, int signals) {
    for (;;) {
        pollfd events[] = {{kControlFd, POLLIN, 0}, {signals, POLLIN, 0}};
        if (poll(events, 2, -1) < 0) continue;  // EINTR: nothing else can happen to two good descriptors
        if ((events[1].revents & POLLIN) != 0) {
            signalfd_siginfo ignored;
            [[maybe_unused]] const ssize_t n = read(signals, &ignored, sizeof(ignored));
            reap_all();
        }
        if ((events[0].revents & POLLIN) != 0) handle_request(context);
    }
}

[[noreturn]] int run() {
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "hutch-init");
    const rlimit no_core{0, 0};  // a crash must not reach the host's core_pattern pipe
    setrlimit(RLIMIT_CORE, &no_core);
    // What the daemon ignores (nohup does that to SIGHUP, a shell's & to SIGINT) every command would ignore too.
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

    static Context context;
    Reply reply{};
    if (signals < 0 || !receive(g_packet)) {
        reply = failure(Stage::kReceive, "set-up");
    } else if (set_up(g_packet, context, reply)) {
        reply.type = MessageType::kReady;
    }
    send_reply(reply);
    if (reply.type != MessageType::kReady) _exit(1);
    serve(context, signals);
}

}  // namespace

bool receive(Packet& packet) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(packet.fds))];
    iovec data{packet.bytes, kMaxMessage};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    packet.fd_count = 0;
    errno = 0;
    const ssize_t n = recvmsg(kControlFd, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) return false;
    packet.size = static_cast<size_t>(n);
    packet.bytes[n] = '\0';
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        packet.fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(packet.fds, CMSG_DATA(rights), packet.fd_count * sizeof(int));
    }
    return true;
}

void send_reply(const Reply& reply, int fd) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec data{const_cast<Reply*>(&reply), sizeof(reply)};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    }
    // Blocks when the daemon is away and the queue is full: an exit status is never thrown away.
    while (sendmsg(kControlFd, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

Reply failure(Stage stage, const char* object, uint64_t run_id) {
    Reply reply{};
    reply.type = MessageType::kFailed;
    reply.stage = stage;
    reply.code = errno;
    reply.run_id = run_id;
    strncpy(reply.object, object, sizeof(reply.object) - 1);
    return reply;
}

}  // namespace hutch::runtime::init

int main() {
    hutch::runtime::init::run();
}
