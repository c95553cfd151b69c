// Preloaded into hutchd: a call throws std::bad_alloc, as anything may that allocates; or, as "hang:CALL", does not
// come back; or, as "fail:CALL", answers that the disk failed (EIO). Which one a file says, named by HUTCH_THROWS:
// "CALL TEXT PASSES", where TEXT is a part of the path, or of what /proc shows for the descriptor, and so many such
// calls pass before. It throws once, and takes the file away. Of these calls the C library says that they may throw,
// since a thread can be cancelled in them.

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>

namespace {

const pid_t daemon_pid = getpid();
const char* const control = getenv("HUTCH_THROWS");

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

std::string shown(int fd) {
    char path[4096];
    const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof(path));
    return size < 0 ? "" : std::string(path, static_cast<size_t>(size));
}

/// False for a call that is to fail.
template <typename On>
bool pass(const std::string& call, const On& shown_on) {
    static std::mutex mutex;
    const int error = errno;
    if (control == nullptr || getpid() != daemon_pid || access(control, F_OK) != 0) {
        errno = error;
        return true;
    }
    const std::lock_guard lock(mutex);
    const std::string on = shown_on();
    char wanted[32] = {};
    char text[256] = {};
    int passes = -1;
    FILE* const file = fopen(control, "r+e");
    const bool armed = file != nullptr && fscanf(file, "%31s %255s %d", wanted, text, &passes) == 3;
    const bool hangs = std::string(wanted).rfind("hang:", 0) == 0;
    const bool fails = std::string(wanted).rfind("fail:", 0) == 0;
    const size_t how = hangs || fails ? 5 : 0;
    const bool meant = armed && call == std::string(wanted + how) && on.find(text) != std::string::npos;
    if (meant && passes > 0) {
        rewind(file);
        fprintf(file, "%s %s %d\n", wanted, text, passes - 1);
    }
    if (file != nullptr) fclose(file);
    if (meant && passes == 0) {
        unlink(control);
        while (hangs) pause();
        if (!fails) throw std::bad_alloc();
        errno = EIO;
        return false;
    }
    errno = error;
    return true;
}

}  // namespace

extern "C" ssize_t pread(int fd, void* data, size_t size, off_t offset) {
    static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
    if (!pass("pread", [fd] { return shown(fd); })) return -1;
    return real(fd, data, size, offset);
}

extern "C" ssize_t read(int fd, void* data, size_t size) {
    static auto* const real = next<ssize_t(int, void*, size_t)>("read");
    if (!pass("read", [fd] { return shown(fd); })) return -1;
    return real(fd, data, size);
}

extern "C" int openat(int dir, const char* path, int flags, ...) {
    static auto* const real = next<int(int, const char*, int, ...)>("openat");
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!pass("openat", [path] { return path; })) return -1;
    return real(dir, path, flags, mode);
}

extern "C" int fdatasync(int fd) {
    static auto* const real = next<int(int)>("fdatasync");
    if (!pass("fdatasync", [fd] { return shown(fd); })) return -1;
    return real(fd);
}
