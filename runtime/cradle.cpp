#include "runtime/cradle.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

struct Device {
    const char* name;
    unsigned minor_number;
    unsigned major_number = 1;
};

Result<void> make_device(const std::string& dev, const Device& device) {
    const std::string path = dev + "/" + device.name;
    if (mknod(path.c_str(), S_IFCHR | 0666, makedev(device.major_number, device.minor_number)) != 0 ||
        chmod(path.c_str(), 0666) != 0) {
        return errno_error("making device " + path);
    }
    return {};
}

Result<void> make_devices(const std::string& dev) {
    for (const Device& device : {Device{"null", 3}, Device{"zero", 5}, Device{"full", 7}, Device{"random", 8},
                                 Device{"urandom", 9}, Device{"tty", 0, 5}}) {
        TRY(make_device(dev, device));
    }
    struct Link {
        const char* name;
        const char* target;
    };
    for (const Link& link :
         {Link{"fd", "/proc/self/fd"}, Link{"stdin", "/proc/self/fd/0"}, Link{"stdout", "/proc/self/fd/1"},
          Link{"stderr", "/proc/self/fd/2"}, Link{"ptmx", "pts/ptmx"},
          Link{"log", "/run/systemd/journal/dev-log"}}) {  // as systemd has it: /dev is no place for a socket
        if (symlink(link.target, (dev + "/" + link.name).c_str()) != 0) return errno_error("linking " + dev);
    }
    for (const char* directory : {"pts", "shm", "mqueue"}) {
        if (mkdir((dev + "/" + directory).c_str(), 0755) != 0) return errno_error("making " + dev + "/" + directory);
    }
    return {};
}

// A tunnel asks for CAP_NET_ADMIN over the network namespace: a box has it in those of its own making alone.
Result<void> make_tunnels(const std::string& dev) {
    if (mkdir((dev + "/net").c_str(), 0755) != 0) return errno_error("making " + dev + "/net");
    return make_device(dev, {"net/tun", 200, 10});
}

// Runs on a thread of its own, which unshare(CLONE_NEWNS) gives its own root and working directory too.
Result<UniqueFd> build() {
    if (unshare(CLONE_NEWNS) != 0) return errno_error("unsharing the mount namespace");
    if (sys_mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno_error("making / private");
    TRY(mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "size=64k,mode=755"));
    for (const char* directory : {"/tmp/proc", "/tmp/dev", "/tmp/dev-nesting", "/tmp/box", "/tmp/machine"}) {
        if (mkdir(directory, 0755) != 0) return errno_error("making " + std::string(directory));
    }
    TRY(mount_at("proc", "/tmp/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
    for (const char* dev : {"/tmp/dev", "/tmp/dev-nesting"}) {
        TRY(mount_at("tmpfs", dev, MS_NOSUID | MS_NOEXEC, "size=64k,mode=755"));
        TRY(make_devices(dev));
    }
    TRY(make_tunnels("/tmp/dev-nesting"));
    for (const char* path : {"/tmp/dev", "/tmp/dev-nesting", "/tmp"}) {
        mount_attr read_only{};
        read_only.attr_set = MOUNT_ATTR_RDONLY;
        if (sys_mount_setattr(AT_FDCWD, path, 0, read_only) != 0) return errno_error("making /dev read-only");
    }
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
