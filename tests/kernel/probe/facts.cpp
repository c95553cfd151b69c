#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/syscalls.h"
#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

void print_all(char** strings) {
    for (; *strings != nullptr; ++strings) printf("[%s]", *strings);
    puts("");
}

long ids(char** /*unused*/) {
    uid_t user[3];
    gid_t group[3];
    gid_t groups[64];
    getresuid(&user[0], &user[1], &user[2]);
    getresgid(&group[0], &group[1], &group[2]);
    const int count = getgroups(64, groups);
    printf("uid %u %u %u gid %u %u %u groups", user[0], user[1], user[2], group[0], group[1], group[2]);
    for (int i = 0; i < count; ++i) printf(" %u", groups[i]);
    puts("");
    return 0;
}

// The numbers in a directory of /proc: descriptors (without the one that lists them) or processes.
long numbers(char** arguments) {
    DIR* listing = opendir(arguments[0]);
    if (listing == nullptr) return puts(strerrorname_np(errno)), 0;
    const char* gap = "";
    while (const dirent* entry = readdir(listing)) {
        char* end = nullptr;
        const long number = strtol(entry->d_name, &end, 10);
        if (*end != '\0' || number == dirfd(listing)) continue;
        printf("%s%ld", gap, number);
        gap = " ";
    }
    puts("");
    return 0;
}

// What stands at a path: "null", "empty", "read-only directory", ...
long kind(char** arguments) {
    struct stat status {};
    if (stat(arguments[0], &status) != 0) return puts(strerrorname_np(errno)), 0;
    if (S_ISCHR(status.st_mode)) {
        printf("device %u:%u\n", major(status.st_rdev), minor(status.st_rdev));
    } else if (S_ISDIR(status.st_mode)) {
        int entries = -2;  // "." and ".."
        DIR* listing = opendir(arguments[0]);
        if (listing == nullptr) return puts(strerrorname_np(errno)), 0;
        while (readdir(listing) != nullptr) ++entries;
        struct statvfs mount {};
        statvfs(arguments[0], &mount);
        printf("%s %s directory\n", (mount.f_flag & ST_RDONLY) != 0 ? "read-only" : "writable",
               entries == 0 ? "empty" : "full");
    } else {
        puts("file");
    }
    return 0;
}

long terminal(char** /*unused*/) {
    winsize size{};
    struct stat status {};
    const bool is = isatty(0) == 1 && isatty(1) == 1 && isatty(2) == 1;
    ioctl(0, TIOCGWINSZ, &size);
    fstat(0, &status);
    printf("tty %d controlling %d foreground %d size %ux%u owner %u:%u mode %o\n", is ? 1 : 0,
           tcgetsid(0) == getpid() ? 1 : 0, tcgetpgrp(0) == getpid() ? 1 : 0, size.ws_row, size.ws_col, status.st_uid,
           status.st_gid, status.st_mode & 0777U);
    return 0;
}

long core_limit(char** /*unused*/) {
    rlimit limit{};
    getrlimit(RLIMIT_CORE, &limit);
    printf("%lu %lu\n", limit.rlim_cur, limit.rlim_max);
    return 0;
}

// Leaves COUNT children to init, each of which ends only after its parent has: all become orphans first.
long orphans(char** arguments) {
    int gate[2];
    if (pipe(gate) != 0) return 1;
    for (int i = 0; i < atoi(arguments[0]); ++i) {
        const pid_t pid = fork();
        if (pid < 0) return 1;
        if (pid > 0) continue;
        close(gate[1]);
        char byte = 0;
        _exit(static_cast<int>(read(gate[0], &byte, 1)));
    }
    return 0;
}

// "wait" says "ready", then ends when its input does; "pause" does nothing for ever and holds little.
long wait_for_input(char** /*unused*/) {
    puts("ready");
    fflush(stdout);
    char byte = 0;
    return read(0, &byte, 1) < 0 ? 1 : 0;
}

long pause_for_ever(char** /*unused*/) {
    for (;;) pause();
}

bool is_joining_as_user(const char* pid) {
    char path[64];
    char text[2048] = {};
    snprintf(path, sizeof(path), "/proc/%s/status", pid);
    const int file = open(path, O_RDONLY);
    if (file < 0) return false;
    const ssize_t size = read(file, text, sizeof(text) - 1);
    close(file);
    return size > 0 && strncmp(text, "Name:\thutch-init\n", 17) == 0 && strstr(text, "Uid:\t1000\t") != nullptr;
}

// Looks for a process of our own user that still is init's twin, and tries to trace it.
long attack_joining(char** /*unused*/) {
    for (;;) {
        DIR* listing = opendir("/proc");
        while (const dirent* entry = readdir(listing)) {
            const pid_t pid = atoi(entry->d_name);
            if (pid <= 1 || !is_joining_as_user(entry->d_name)) continue;
            const long taken = ptrace(PTRACE_SEIZE, pid, nullptr, nullptr);
            if (taken < 0 && errno == ESRCH) continue;  // it has ended meanwhile
            return puts(taken < 0 ? strerrorname_np(errno) : "taken"), 0;
        }
        closedir(listing);
    }
}

constexpr Attempt kFacts[] = {
    {"arguments", [](char** a) { return print_all(a), 0L; }},
    {"environment", [](char**) { return print_all(environ), 0L; }},
    {"ids", ids},
    {"numbers", numbers},
    {"kind", kind},
    {"terminal", terminal},
    {"core-limit", core_limit},
    {"orphans", orphans},
    {"wait", wait_for_input},
    {"pause", pause_for_ever},
    {"attack-joining", attack_joining},
};

}  // namespace

std::span<const Attempt> facts() {
    return kFacts;
}

}  // namespace hutch::probe
