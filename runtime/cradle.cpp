#include "runtime/cradle.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/file.h"
#include "base/syscalls.h"

namespace hutch::runtime {
namespace {

Result<void> mount_at(const char* type, const std::string& path, unsigned long flags, const char* options) {
    if (sys_mount("hutch", path.c_str(), type, flags, options) != 0) {
        return errno_error("mounting " + std::string(type) + " on " + path);
    }
    return {};
}

// Runs on a thread of its own, which unshare(CLONE_NEWNS) gives its own root and working directory too.
Result<UniqueFd> build() {
    if (unshare(CLONE_NEWNS) != 0) return errno_error("unsharing the mount namespace");
    if (sys_mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno_error("making / private");
    TRY(mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "size=64k,mode=755"));
    for (const char* directory : {"/tmp/proc", "/tmp/box", "/tmp/machine"}) {
        if (mkdir(directory, 0755) != 0) return errno_error("making " + std::string(directory));
    }
    TRY(mount_at("proc", "/tmp/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
    mount_attr read_only{};
    read_only.attr_set = MOUNT_ATTR_RDONLY;
    if (sys_mount_setattr(AT_FDCWD, "/tmp", 0, read_only) != 0) return errno_error("making it read-only");
    if (chdir("/tmp") != 0 || sys_pivot_root(".", ".") != 0 || sys_umount2(".", MNT_DETACH) != 0) {
        return errno_error("leaving the host's mounts");
    }
    return open_at(AT_FDCWD, "/proc/thread-self/ns/mnt", O_RDONLY);
}

}  // namespace

Result<UniqueFd> make_cradle() {
    Result<UniqueFd> cradle = Error{};
    std::thread([&cradle] { cradle = build(); }).join();
    if (!cradle.ok()) return std::move(cradle).error().in("making the mount namespace boxes are born in");
    return cradle;
}

}  // namespace hutch::runtime
