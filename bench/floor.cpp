#include "bench/floor.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/syscalls.h"

namespace hutch::bench {
namespace {

struct Container {
    std::string rootfs, upper, work, merged, options;
};

int inside(void* argument) {
    const auto& container = *static_cast<const Container*>(argument);
    if (sys_mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
    if (sys_mount("overlay", container.merged.c_str(), "overlay", 0, container.options.c_str()) != 0) return 3;
    if (chdir(container.merged.c_str()) != 0) return 4;
    if (sys_mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return 5;
    if (sys_pivot_root(".", ".") != 0 || sys_umount2(".", MNT_DETACH) != 0) return 6;
    char name[] = "true";
    char* const argv[] = {name, nullptr};
    char* const env[] = {nullptr};
    execve("/bin/true", argv, env);
    return 7;
}

std::string unified_mount() {
    for (const char* path : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
        if (access((std::string(path) + "/cgroup.procs").c_str(), F_OK) == 0) return path;
    }
    fprintf(stderr, "bench: no unified control groups\n");
    exit(1);
}

}  // namespace

FrozenGroup::FrozenGroup() : path_(unified_mount() + "/hutch-bench-floor") {
    char name[] = "sleep";
    char time[] = "1000000";
    char* const argv[] = {name, time, nullptr};
    if (mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST) exit(1);
    if (posix_spawn(&pid_, "/bin/sleep", nullptr, nullptr, argv, environ) != 0) exit(1);
    if (!write_value_at(AT_FDCWD, path_ + "/cgroup.procs", std::to_string(pid_)).ok()) exit(1);
}

FrozenGroup::~FrozenGroup() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    rmdir(path_.c_str());
}

void FrozenGroup::freeze_and_thaw() {
    if (!write_value_at(AT_FDCWD, path_ + "/cgroup.freeze", "1").ok()) exit(1);
    const UniqueFd events = open_at(AT_FDCWD, path_ + "/cgroup.events", O_RDONLY).value();
    char text[256];
    ssize_t size = 0;
    do {
        size = pread(events.get(), text, sizeof(text) - 1, 0);
        text[size > 0 ? size : 0] = 0;
    } while (strstr(text, "frozen 1") == nullptr);
    if (!write_value_at(AT_FDCWD, path_ + "/cgroup.freeze", "0").ok()) exit(1);
}

void make_bare_container(const std::string& rootfs, const std::string& scratch) {
    static int number = 0;
    const std::string base = scratch + "/" + std::to_string(++number);
    Container container{rootfs, base + "/upper", base + "/work", base + "/merged", ""};
    for (const std::string& directory : {base, container.upper, container.work, container.merged}) {
        mkdir(directory.c_str(), 0755);
    }
    container.options = "lowerdir=" + rootfs + ",upperdir=" + container.upper + ",workdir=" + container.work;
    alignas(16) static char stack[65536];
    // As root and without CLONE_NEWUSER's maps, which would only add to it; vfork-like, so no memory is copied.
    const int pid = clone(inside, stack + sizeof(stack),
                          CLONE_VM | CLONE_VFORK | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                              CLONE_NEWCGROUP | CLONE_NEWNET | SIGCHLD,
                          &container);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "bench: the bare container failed (status %d)\n", status);
        exit(1);
    }
}

void spawn_and_read(const std::string& program) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) exit(1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    char name[] = "true";
    char* const argv[] = {name, nullptr};
    pid_t pid = 0;
    if (posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ) != 0) exit(1);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    char byte = 0;
    while (read(ends[0], &byte, 1) > 0) {
    }
    close(ends[0]);
    waitpid(pid, nullptr, 0);
}

}  // namespace hutch::bench
