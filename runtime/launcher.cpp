#include "runtime/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/file.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "runtime/capabilities.h"
#include "runtime/child_code.h"
#include "runtime/cradle.h"
#include "runtime/devices.h"
#include "runtime/init_image.h"

// The way from hutchd to a box's PID 1. Both children share our memory until the exec (nothing is copied, however
// large the daemon is), so between clone and exec they make raw system calls only: no allocation, no locks, no errno
// of ours left changed in a way that matters, no return from the function that cloned.
//
//   worker thread                 envoy                                    init
//     clone3(VM, VFORK,      -->  "0" > v1 tasks
//       INTO_CGROUP group)        setns net, mnt (cradle), user
//                                 become root of the user namespace
//                                 unshare the cgroup namespace
//                                 clone3(VM, VFORK, PARENT,          -->   control socket to fd 3, the rest closed
//                                   NEW{NS,PID,IPC,UTS},                   exec hutch-init
//                                   INTO_CGROUP leaf)
//     reaps envoy            <--  _exit
//
// Two steps, because joining a network namespace of the host's needs host privilege, which a child born with
// CLONE_NEWUSER never has; and because joining a user namespace made ahead lets the overlay be idmapped before.

namespace hutch::runtime {
namespace {

struct Journey {
    int init = -1, cradle = -1, control = -1, peer = -1, null = -1;
    const SpawnPlan* plan = nullptr;
    volatile Stage failed_stage = Stage::kNone;
    volatile int failed_code = 0;
    volatile pid_t init_pid = 0;
};

// A plain syscall(2) would leave its return address on the stack that both sides share; inline, nothing is left there.
__attribute__((always_inline)) inline long clone3_vfork(clone_args* arguments) {
    long result = 0;
#if defined(__x86_64__)
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(static_cast<long>(SYS_clone3)), "D"(arguments), "S"(sizeof(*arguments))
                 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long x8 asm("x8") = SYS_clone3;
    register long x0 asm("x0") = reinterpret_cast<long>(arguments);
    register long x1 asm("x1") = sizeof(*arguments);
    asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    result = x0;
#else
#error "hutch runs on x86_64 and aarch64"
#endif
    return result;
}

[[noreturn]] HUTCH_CHILD_CODE void leave(Journey& journey, Stage stage, int code) {
    journey.failed_code = code;
    journey.failed_stage = stage;
    for (;;) syscall(SYS_exit_group, 1);
}

[[noreturn]] HUTCH_CHILD_CODE void become_init(Journey& journey) {
    // 0, 1, 2: /dev/null; 3: control; 4: our end, for the next daemon. Above the targets first, so none is trampled.
    const int control = fcntl(journey.control, F_DUPFD, 10);
    const int peer = fcntl(journey.peer, F_DUPFD, 10);
    const int null = fcntl(journey.null, F_DUPFD, 10);
    const int init = fcntl(journey.init, F_DUPFD_CLOEXEC, 10);
    if (control < 0 || peer < 0 || null < 0 || init < 0) leave(journey, Stage::kExec, errno);
    for (const int target : {0, 1, 2}) {
        if (dup2(null, target) < 0) leave(journey, Stage::kExec, errno);
    }
    if (dup2(control, kControlFd) < 0 || dup2(peer, kPeerFd) < 0) leave(journey, Stage::kExec, errno);
    sys_close_range(kPeerFd + 1, static_cast<unsigned>(init) - 1, 0);
    sys_close_range(static_cast<unsigned>(init) + 1, ~0U, 0);
    char name[] = "hutch-init";
    char* const argv[] = {name, nullptr};
    char* const env[] = {nullptr};
    sys_execveat(init, "", argv, env, AT_EMPTY_PATH);
    leave(journey, Stage::kExec, errno);
}

[[noreturn]] HUTCH_CHILD_CODE void travel(Journey& journey) {
    const SpawnPlan& plan = *journey.plan;
    for (const int tasks : plan.tasks) {
        if (syscall(SYS_write, tasks, "0", 1) != 1) leave(journey, Stage::kControllers, errno);
    }
    if (syscall(SYS_setns, plan.netns, CLONE_NEWNET) != 0) leave(journey, Stage::kNetwork, errno);
    if (syscall(SYS_setns, journey.cradle, CLONE_NEWNS) != 0) leave(journey, Stage::kCradle, errno);
    if (syscall(SYS_setns, plan.userns, CLONE_NEWUSER) != 0) leave(journey, Stage::kUser, errno);
    if (sys_setgroups(0, nullptr) != 0 || sys_setresgid(0) != 0 || sys_setresuid(0) != 0) {
        leave(journey, Stage::kUser, errno);
    }
    // Here and not in the clone: there its root would be init's leaf, and runs would be outside of it (ENOENT on hosts
    // that mount cgroup2 with nsdelegate).
    if (syscall(SYS_unshare, CLONE_NEWCGROUP) != 0) leave(journey, Stage::kClone, errno);
    clone_args arguments{};
    arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PARENT | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                      CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(plan.leaf);
    const long pid = clone3_vfork(&arguments);
    if (pid == 0) become_init(journey);
    if (pid < 0) leave(journey, Stage::kClone, static_cast<int>(-pid));
    journey.init_pid = static_cast<pid_t>(pid);
    for (;;) syscall(SYS_exit_group, 0);
}

HUTCH_CHILD_CODE long send_envoy(Journey& journey) {
    clone_args arguments{};
    arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;  // init inherits it through CLONE_PARENT
    arguments.cgroup = static_cast<uint64_t>(journey.plan->group);
    const long pid = clone3_vfork(&arguments);
    if (pid == 0) travel(journey);
    return pid;
}

void wait_for(pid_t child) {
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
}

// When the host runs out of memory, what is in boxes goes first. Set from here and not by init: of what root sets, no
// process of the box can take anything back (proc(5), oom_score_adj).
Result<void> offer_to_oom_killer(pid_t init) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, "/proc/" + std::to_string(init) + "/oom_score_adj", O_WRONLY));
    return write_all(file.get(), "500");
}

Result<void> send_setup(int socket, const SpawnPlan& plan, int devices, const Filters& filters) {
    Setup setup{};
    setup.type = MessageType::kSetup;
    setup.version = kProtocolVersion;
    setup.nesting = plan.nesting;
    setup.shm_bytes = plan.shm_bytes;
    setup.memory_bytes = plan.memory_bytes;
    setup.cpus = plan.cpus;
    static const long online = sysconf(_SC_NPROCESSORS_ONLN);
    setup.cpus_shown = online > static_cast<long>(plan.cpus) ? plan.cpus : 0;
    setup.pids = plan.pids;
    setup.capabilities = TRY(mask_of(box_capabilities()));
    setup.box_filter = static_cast<uint32_t>(filters.box.size());
    setup.run_filter = static_cast<uint32_t>(filters.run.size());
    const auto copy = [](std::span<char> to, const std::string& from) {
        std::memcpy(to.data(), from.data(), std::min(from.size(), to.size() - 1));
    };
    copy(setup.hostname, plan.hostname);
    copy(setup.address, plan.address);
    copy(setup.nameserver, plan.nameserver);
    const auto bytes = [](const Filter& filter) {
        return iovec{const_cast<sock_filter*>(filter.data()), filter.size() * sizeof(sock_filter)};
    };
    iovec parts[] = {{&setup, sizeof(setup)}, bytes(filters.box), bytes(filters.run)};
    const int views[kViews] = {plan.sysfs,    plan.unified_view, plan.memory_view,
                               plan.cpu_view, plan.cpuset_view,  plan.cpuacct_view};
    int fds[2 + kViews] = {plan.root, devices};
    size_t count = 2;
    for (uint32_t view = 0; view < kViews; ++view) {
        if (views[view] < 0) continue;
        setup.views |= 1U << view;
        fds[count++] = views[view];
    }
    const size_t fd_bytes = count * sizeof(int);
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fd_bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fd_bytes);
    std::memcpy(CMSG_DATA(rights), fds, fd_bytes);
    if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return errno_error("sending the set-up to init");
    return {};
}

}  // namespace

Result<Launcher> Launcher::prepare() {
    Launcher launcher;
    launcher.filters_ = TRY(compile_filters(Nesting::kRefused));
    launcher.nesting_filters_ = TRY(compile_filters(Nesting::kAllowed));
    launcher.init_ = TRY(init_image());
    launcher.cradle_ = TRY(make_cradle());
    return launcher;
}

Result<Spawned> Launcher::spawn(const SpawnPlan& plan) const {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return errno_error("making a control socket");
    UniqueFd ours(pair[0]);
    const UniqueFd theirs(pair[1]);
    constexpr int kSendBuffer = 8 * 1024 * 1024;  // many commands may wait while init starts one
    setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof(kSendBuffer));
    const UniqueFd devices = TRY(make_devices(plan.nesting));
    TRY(send_setup(ours.get(), plan, devices.get(), plan.nesting == Nesting::kAllowed ? nesting_filters_ : filters_));
    const UniqueFd null = TRY(open_at(devices.get(), "null", O_RDWR));  // the box's own: commands get it too

    Journey journey;
    journey.init = init_.get();
    journey.cradle = cradle_.get();
    journey.control = theirs.get();
    journey.peer = ours.get();
    journey.null = null.get();
    journey.plan = &plan;
    long envoy = 0;
    {
        const BlockedSignals blocked;
        envoy = send_envoy(journey);
    }
    if (envoy < 0) return errno_error("cloning into the box's control group", static_cast<int>(-envoy));
    wait_for(static_cast<pid_t>(envoy));
    Spawned spawned;
    spawned.pid = journey.init_pid;
    Undo end_init([&spawned] {  // our child, not yet waited for: the pid cannot have been reused
        if (spawned.pid <= 0) return;
        kill(spawned.pid, SIGKILL);
        wait_for(spawned.pid);
    });
    if (journey.failed_stage != Stage::kNone) return errno_error(stage_name(journey.failed_stage), journey.failed_code);
    spawned.pidfd = UniqueFd(sys_pidfd_open(spawned.pid));
    if (!spawned.pidfd) return errno_error("opening the pidfd of init");
    TRY(offer_to_oom_killer(spawned.pid));
    end_init.commit();
    spawned.link = Link(std::move(ours));
    return spawned;
}

bool has_ended(int pidfd) {
    pollfd event{pidfd, POLLIN, 0};
    return poll(&event, 1, 0) > 0;
}

void reap(int pidfd) {
    siginfo_t info{};
    while (sys_waitid_pidfd(pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
}

}  // namespace hutch::runtime
