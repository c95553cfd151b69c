// Preloaded into hutchd: it dies by SIGKILL before one of the calls by which a program changes files or makes them
// durable, SQLite's included. Which one a file says, named by HUTCH_FAIL_POINTS: it holds the number of calls to let
// pass, and while there is no such file nothing is counted. So every step is a fail point, the ones not written yet
// too.
//
// And what looks fails, if the environment says so: a system call that has no wrapper of libc's by
// HUTCH_REFUSED_SYSCALL, "NUMBER ERRNO", and a status of what is called so by HUTCH_REFUSED_STATUS, "SUFFIX ERRNO".

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

namespace {

const pid_t daemon_pid = getpid();
const char* const counter = getenv("HUTCH_FAIL_POINTS");

void pass() {
    static std::mutex mutex;
    const int error = errno;
    if (counter == nullptr || getpid() != daemon_pid) return;
    const std::lock_guard lock(mutex);
    const int file = open(counter, O_RDWR | O_CLOEXEC);
    if (file >= 0) {
        char text[32] = {};
        if (read(file, text, sizeof(text) - 1) <= 0) _exit(70);
        const long left = strtol(text, nullptr, 10);
        if (left == 0) kill(daemon_pid, SIGKILL);
        const std::string less = std::to_string(left - 1) + "\n";
        if (lseek(file, 0, SEEK_SET) != 0 || write(file, less.data(), less.size()) < 0) _exit(70);
        close(file);
    }
    errno = error;
}

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define FAIL_POINT(name, parameters, arguments, ...)           \
    extern "C" int name parameters __VA_ARGS__ {               \
        static auto* const real = next<int parameters>(#name); \
        pass();                                                \
        return real arguments;                                 \
    }

FAIL_POINT(mkdirat, (int dir, const char* path, mode_t mode), (dir, path, mode), noexcept)
FAIL_POINT(renameat, (int from, const char* old, int to, const char* fresh), (from, old, to, fresh), noexcept)
FAIL_POINT(renameat2, (int from, const char* old, int to, const char* fresh, unsigned flags),
           (from, old, to, fresh, flags), noexcept)
FAIL_POINT(unlinkat, (int dir, const char* path, int flags), (dir, path, flags), noexcept)
FAIL_POINT(linkat, (int from, const char* old, int to, const char* fresh, int flags), (from, old, to, fresh, flags),
           noexcept)
FAIL_POINT(symlinkat, (const char* target, int dir, const char* path), (target, dir, path), noexcept)
FAIL_POINT(mknodat, (int dir, const char* path, mode_t mode, dev_t device), (dir, path, mode, device), noexcept)
FAIL_POINT(fchownat, (int dir, const char* path, uid_t uid, gid_t gid, int flags), (dir, path, uid, gid, flags),
           noexcept)
FAIL_POINT(utimensat, (int dir, const char* path, const timespec times[2], int flags), (dir, path, times, flags),
           noexcept)
FAIL_POINT(syncfs, (int fd), (fd), noexcept)
FAIL_POINT(fsync, (int fd), (fd))
FAIL_POINT(fdatasync, (int fd), (fd))

extern "C" ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
    static auto* const real = next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
    pass();
    return real(fd, data, size, offset);
}

extern "C" long syscall(long number, ...) noexcept {
    static auto* const real = next<long(long, ...)>("syscall");
    static const char* const refused = getenv("HUTCH_REFUSED_SYSCALL");
    if (refused != nullptr && strtol(refused, nullptr, 10) == number) {
        errno = atoi(strchr(refused, ' ') + 1);
        return -1;
    }
    va_list list;
    va_start(list, number);
    long arguments[6];
    for (long& argument : arguments) argument = va_arg(list, long);
    va_end(list);
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static bool is_refused(const char* path) {
    static const char* const refused = getenv("HUTCH_REFUSED_STATUS");
    if (refused == nullptr) return false;
    const std::string suffix(refused, strchr(refused, ' '));
    if (!std::string_view(path).ends_with(suffix)) return false;
    errno = atoi(strchr(refused, ' ') + 1);
    return true;
}

extern "C" int fstatat(int dir, const char* path, struct stat* status, int flags) noexcept {
    static auto* const real = next<int(int, const char*, struct stat*, int)>("fstatat");
    return is_refused(path) ? -1 : real(dir, path, status, flags);
}

extern "C" int fstatat64(int dir, const char* path, struct stat64* status, int flags) noexcept {
    static auto* const real = next<int(int, const char*, struct stat64*, int)>("fstatat64");
    return is_refused(path) ? -1 : real(dir, path, status, flags);
}
