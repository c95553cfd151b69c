#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

Packet g_packet;  // zero pages until touched

bool is_request(MessageType type) {
    const Request* request = reinterpret_cast<const Request*>(g_packet.bytes);
    return g_packet.size == sizeof(Request) && request->type == type;
}

// What is kept of the packet's descriptors is no longer the packet's.
void handle_run(const Context& context) {
    const uint64_t id = reinterpret_cast<const Run*>(g_packet.bytes)->run_id;
    if (runs_full()) {
        errno = EAGAIN;
        send_reply(failure(Stage::kLeaf, "too many commands", id));
        return;
    }
    int terminal = -1;
    const Reply reply = start_command(g_packet, context, terminal);
    if (reply.type != MessageType::kStarted) {
        send_reply(reply);
        if (terminal >= 0) close(terminal);
    } else if (terminal >= 0) {
        hold_run(id, reply.pid, &terminal, 1);
        send_reply(reply, &terminal, 1);
    } else {
        const size_t kept = g_packet.fd_count - 4;
        hold_run(id, reply.pid, g_packet.fds + 4, kept);
        g_packet.fd_count -= kept;
        send_reply(reply);
    }
}

void handle_request(const Context& context) {
    if (!receive(g_packet)) {
        // Our duplicate of the daemon's end keeps the pair open: a closed peer cannot happen, a bad packet is dropped.
        return;
    }
    if (is_request(MessageType::kForget)) {
        forget_run(reinterpret_cast<const Request*>(g_packet.bytes)->run_id);
    } else if (is_request(MessageType::kSignal)) {
        const Request* request = reinterpret_cast<const Request*>(g_packet.bytes);
        signal_run(request->run_id, static_cast<int>(request->signal));
    } else if (is_request(MessageType::kReport)) {
        report_runs(reinterpret_cast<const Request*>(g_packet.bytes)->run_id);
    } else if (g_packet.size >= sizeof(Run) &&
               reinterpret_cast<const Run*>(g_packet.bytes)->type == MessageType::kRun) {
        handle_run(context);
    } else {
        errno = EPROTO;
        send_reply(failure(Stage::kReceive, "request"));
    }
    for (size_t i = 0; i < g_packet.fd_count; ++i) close(g_packet.fds[i]);
}

[[noreturn]] void serve(const Context& context, int signals) {
    for (;;) {
        const short room = tell_ends() ? 0 : POLLOUT;
        pollfd events[] = {
            {kControlFd, static_cast<short>(POLLIN | room), 0}, {signals, POLLIN, 0}, {drains(), POLLIN, 0}};
        if (poll(events, 3, -1) < 0) continue;  // EINTR: nothing else can happen to good descriptors
        if ((events[1].revents & POLLIN) != 0) {
            signalfd_siginfo ignored;
            [[maybe_unused]] const ssize_t n = read(signals, &ignored, sizeof(ignored));
            reap_all();
        }
        if ((events[0].revents & POLLIN) != 0) handle_request(context);
        if ((events[2].revents & POLLIN) != 0) drain_some();
    }
}

// Whether the file begins with one of these characters; so it is taken when it cannot be read.
bool begins_with(const char* path, const char* characters) {
    char first = 0;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const bool known = file >= 0 && read(file, &first, 1) == 1;
    if (file >= 0) close(file);
    return !known || strchr(characters, first) != nullptr;
}

// What a crash in the box may write, for all commands. A core_pattern that names a program of the host (or a socket,
// Linux 6.16) is not for boxes: of all limits only that of one byte keeps the kernel from starting it (fs/coredump.c).
// Else the file is the box's, counts as its disk, and is made for who raises the soft limit; but with fs.suid_dumpable
// = 2 that of a set-uid program would be the host's.
void limit_cores() {
    rlimit limit{};
    if (getrlimit(RLIMIT_CORE, &limit) != 0) return;
    const bool hosts =
        begins_with("/proc/sys/kernel/core_pattern", "|@") || begins_with("/proc/sys/fs/suid_dumpable", "2");
    limit.rlim_cur = 0;
    if (hosts && limit.rlim_max > 0) limit.rlim_cur = limit.rlim_max = 1;
    setrlimit(RLIMIT_CORE, &limit);
}

[[noreturn]] int run() {
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "hutch-init");
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
    limit_cores();
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
    packet.truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        packet.fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(packet.fds, CMSG_DATA(rights), packet.fd_count * sizeof(int));
    }
    return true;
}

namespace {

bool send_packet(const Reply& reply, const int* fds, size_t fd_count, int flags) {
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxKept * sizeof(int))] = {};
    iovec data{const_cast<Reply*>(&reply), sizeof(reply)};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (fd_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    while (sendmsg(kControlFd, &message, MSG_NOSIGNAL | flags) < 0) {
        if (errno != EINTR) return false;
    }
    return true;
}

}  // namespace

void send_reply(const Reply& reply, const int* fds, size_t fd_count) {
    send_packet(reply, fds, fd_count, 0);
}

bool try_reply(const Reply& reply) {
    return send_packet(reply, nullptr, 0, MSG_DONTWAIT);
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
