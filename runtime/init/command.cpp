// One command: a vfork-like clone straight into the run's control group, then exec. The child shares init's memory
// until then, so it makes system calls and writes its outcome into Attempt, nothing else.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/priority.h"
#include "base/syscalls.h"
#include "runtime/init/init.h"

namespace hutch::runtime::init {
namespace {

// A command's soft and hard limit of open files, as systemd sets them for services.
constexpr rlim_t kUsualFiles = 1024;
constexpr rlim_t kMaxFiles = 524288;

constexpr size_t kMaxOfFile = 128;  // variables that /etc/environment may add

struct Attempt {
    const Run* run;
    const sock_fprog* filter;
    char* const* argv;
    char* const* env;
    const char* work_dir;
    int leaf;
    int stdio[3];
    volatile Stage stage;
    volatile int code;
};

[[noreturn]] void give_up(Attempt& attempt, Stage stage) {
    attempt.code = errno;
    attempt.stage = stage;
    _exit(127);
}

const char* search_path(char* const* env) {
    for (; *env != nullptr; ++env) {
        if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

// execvp(3) by hand: the PATH is that of the command's environment. EACCES is remembered while the search goes on.
void exec_in_path(char* const* argv, char* const* env) {
    const char* name = argv[0];
    if (strchr(name, '/') != nullptr) {
        execve(name, argv, env);
        return;
    }
    bool refused = false;
    char path[4096];
    for (const char* at = search_path(env); at != nullptr;) {
        const char* end = strchrnul(at, ':');
        const int length =
            snprintf(path, sizeof(path), "%.*s%s%s", static_cast<int>(end - at), at, end == at ? "" : "/", name);
        if (length > 0 && static_cast<size_t>(length) < sizeof(path)) {
            execve(path, argv, env);
            if (errno == EACCES) {
                refused = true;
            } else if (errno != ENOENT && errno != ENOTDIR) {
                return;
            }
        }
        at = *end == ':' ? end + 1 : nullptr;
    }
    errno = refused ? EACCES : ENOENT;
}

// A box whose usual work directory is gone must stay usable, by a client that names it in each call too.
void enter_root(Attempt& attempt) {
    if ((attempt.run->choices & kFallBack) == 0 || (errno != ENOENT && errno != ENOTDIR))
        give_up(attempt, Stage::kWorkDir);
    const int saved = errno;
    if (chdir("/") != 0) give_up(attempt, Stage::kWorkDir);
    char text[512];
    const int size = snprintf(text, sizeof(text), "hutch: the work directory %.400s is %s; the command runs in /\n",
                              attempt.work_dir, saved == ENOENT ? "missing" : "no directory");
    [[maybe_unused]] const ssize_t n = write(2, text, static_cast<size_t>(size));
}

[[noreturn]] void become_command(Attempt& attempt) {
    setsid();
    // Its group is the root of what it sees, as programs expect that size themselves by /sys/fs/cgroup. Without, they
    // see a path more.
    syscall(SYS_unshare, CLONE_NEWCGROUP);
    for (int target = 0; target < 3; ++target) {
        if (dup2(attempt.stdio[target], target) < 0) give_up(attempt, Stage::kTerminal);
    }
    if (attempt.run->tty != 0 && ioctl(0, TIOCSCTTY, 0) != 0) give_up(attempt, Stage::kTerminal);
    // Nothing but 0, 1, 2: no way to name a descriptor of init's in the working directory either (CVE-2024-21626).
    // In a vfork child the table is a copy, so init keeps its own.
    sys_close_range(3, ~0U, 0);
    // init holds descriptors of thousands of runs; a program that closes "all" of them one by one must not have to.
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_max = files.rlim_max < kMaxFiles ? files.rlim_max : kMaxFiles;
        files.rlim_cur = files.rlim_max < kUsualFiles ? files.rlim_max : kUsualFiles;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    set_priority(kUsualPriority);  // init comes before all that it starts
    if (sys_seccomp(1 /* SECCOMP_SET_MODE_FILTER */, 0, const_cast<sock_fprog*>(attempt.filter)) != 0) {
        give_up(attempt, Stage::kSeccomp);
    }
    if (attempt.run->tty != 0 && fchown(0, attempt.run->uid, 5) != 0) give_up(attempt, Stage::kTerminal);
    const gid_t group = attempt.run->gid;
    if (sys_setgroups(1, &group) != 0 || sys_setresgid(group) != 0 || sys_setresuid(attempt.run->uid) != 0) {
        give_up(attempt, Stage::kCredentials);
    }
    if (chdir(attempt.work_dir) != 0) enter_root(attempt);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    exec_in_path(attempt.argv, attempt.env);
    give_up(attempt, Stage::kCommand);
}

// The inline system call leaves no return address on the stack that parent and child share.
__attribute__((noinline)) long clone_into_leaf(Attempt& attempt) {
    clone_args arguments{};
    arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<uint64_t>(attempt.leaf);
    long result = 0;
#if defined(__x86_64__)
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(static_cast<long>(SYS_clone3)), "D"(&arguments), "S"(sizeof(arguments))
                 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 asm("x8") = SYS_clone3;
    register long x0 asm("x0") = reinterpret_cast<long>(&arguments);
    register long x1 asm("x1") = sizeof(arguments);
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    result = x0;
#endif
    if (result == 0) become_command(attempt);
    return result;
}

// Points argv, env and the working directory into the packet. False for a packet that does not hold what it says.
bool unpack(Packet& packet, char** strings, Attempt& attempt) {
    const Run& run = *attempt.run;
    const size_t count = size_t{run.argc} + run.envc;
    if (run.argc == 0 || count + 3 > kMaxStrings) return false;
    char* at = packet.bytes + sizeof(Run);
    char* const end = packet.bytes + packet.size;
    const auto next = [&at, end]() -> char* {
        if (at >= end) return nullptr;
        char* text = at;
        at += strlen(at) + 1;
        return text;
    };
    char** slot = strings;
    for (size_t i = 0; i < run.argc; ++i) *slot++ = next();
    *slot++ = nullptr;
    attempt.argv = strings;
    attempt.env = slot;
    char** const env = slot;
    for (size_t i = 0; i < run.envc; ++i) *slot++ = next();
    *slot = nullptr;
    attempt.work_dir = next();
    if (attempt.work_dir == nullptr || at != end) return false;
    const size_t defaults = run.defaults < run.envc ? run.defaults : run.envc;
    const size_t known = add_environment(env, run.envc, defaults, run.envc + kMaxOfFile);
    if (run.tty != 0) name_known_terminal(env, known);
    return true;
}

bool open_terminal(const Run& run, int& master, int& slave) {
    master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return false;
    int unlock = 0;
    const winsize size{run.rows, run.cols, 0, 0};
    if (ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCSWINSZ, &size) != 0) return false;
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return slave >= 0;
}

}  // namespace

Reply start_command(Packet& packet, const Context& context, int& terminal) {
    static char* strings[kMaxStrings + kMaxOfFile];
    Attempt attempt{};
    attempt.run = reinterpret_cast<const Run*>(packet.bytes);
    attempt.filter = &context.run_filter;
    const uint64_t id = attempt.run->run_id;
    const bool whole = attempt.run->tty != 0 ? packet.fd_count == 1 : packet.fd_count >= 4;
    if (packet.truncated || !whole || !unpack(packet, strings, attempt)) {
        errno = packet.truncated ? EMFILE : (whole ? E2BIG : EPROTO);
        return failure(Stage::kReceive, "command", id);
    }
    attempt.leaf = packet.fds[0];
    int slave = -1;
    if (attempt.run->tty != 0) {
        if (!open_terminal(*attempt.run, terminal, slave)) return failure(Stage::kTerminal, "/dev/pts/ptmx", id);
        for (int& fd : attempt.stdio) fd = slave;
    } else {
        memcpy(attempt.stdio, packet.fds + 1, sizeof(attempt.stdio));
        if ((attempt.run->choices & kNoInput) != 0) attempt.stdio[0] = STDIN_FILENO;  // init's own, of the box's /dev
    }
    const long pid = clone_into_leaf(attempt);
    if (slave >= 0) close(slave);
    if (pid < 0) {
        errno = static_cast<int>(-pid);
        return failure(Stage::kLeaf, "", id);
    }
    if (attempt.stage != Stage::kNone) {  // vfork: the child has ended already, and the reaper takes it
        errno = attempt.code;
        return failure(attempt.stage, attempt.stage == Stage::kWorkDir ? attempt.work_dir : attempt.argv[0], id);
    }
    Reply reply{};
    reply.type = MessageType::kStarted;
    reply.run_id = id;
    reply.pid = static_cast<int32_t>(pid);
    return reply;
}

}  // namespace hutch::runtime::init
