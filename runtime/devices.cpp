#include "runtime/devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include "base/syscalls.h"
#include "runtime/fresh_mount.h"

namespace hutch::runtime {
namespace {

struct Device {
    const char* name;
    unsigned major_number;
    unsigned minor_number;
};

struct DeviceLink {
    const char* name;
    const char* target;
};

constexpr Device kDevices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                               {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
constexpr DeviceLink kLinks[] = {{"fd", "/proc/self/fd"},
                                 {"stdin", "/proc/self/fd/0"},
                                 {"stdout", "/proc/self/fd/1"},
                                 {"stderr", "/proc/self/fd/2"},
                                 {"ptmx", "pts/ptmx"},
                                 // As systemd has it: /dev is no place for a socket.
                                 {"log", "/run/systemd/journal/dev-log"}};

Result<void> make_device(int dev, const Device& device) {
    if (mknodat(dev, device.name, S_IFCHR, makedev(device.major_number, device.minor_number)) != 0 ||
        fchmodat(dev, device.name, 0666, 0) != 0) {
        return errno_error(std::string("making device ") + device.name);
    }
    return {};
}

Result<void> fill(int dev, Nesting nesting) {
    for (const Device& device : kDevices) TRY(make_device(dev, device));
    for (const DeviceLink& link : kLinks) {
        if (symlinkat(link.target, dev, link.name) != 0) return errno_error(std::string("making link ") + link.name);
    }
    for (const char* directory : {"pts", "shm", "mqueue"}) {
        if (mkdirat(dev, directory, 0755) != 0) return errno_error(std::string("making directory ") + directory);
    }
    if (nesting == Nesting::kRefused) return {};
    // A tunnel asks for CAP_NET_ADMIN over the network namespace: a box has it in those of its own making alone.
    if (mkdirat(dev, "net", 0755) != 0) return errno_error("making directory net");
    return make_device(dev, {"net/tun", 10, 200});
}

}  // namespace

Result<UniqueFd> make_devices(Nesting nesting) {
    const auto about = [](Error error) { return std::move(error).in("making a box's /dev"); };
    const Option options[] = {{"size", "64k"}, {"mode", "755"}};
    UniqueFd mount(fresh("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, options));
    if (!mount) return about(errno_error("mounting tmpfs"));
    if (auto filled = fill(mount.get(), nesting); !filled.ok()) return about(std::move(filled).error());
    mount_attr read_only{};
    read_only.attr_set = MOUNT_ATTR_RDONLY;
    if (sys_mount_setattr(mount.get(), "", AT_EMPTY_PATH, read_only) != 0)
        return about(errno_error("making it read-only"));
    return mount;
}

}  // namespace hutch::runtime
