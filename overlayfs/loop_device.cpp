#include "overlayfs/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/file.h"

namespace hutch::overlayfs {

namespace {

Result<std::optional<LoopDevice>> find(int file) {
    struct stat wanted {};
    if (fstat(file, &wanted) != 0) return errno_error("looking at the file");
    const UniqueFd blocks = TRY(open_at(AT_FDCWD, "/sys/block", O_RDONLY | O_DIRECTORY));
    for (const std::string& name : TRY(names_in(blocks.get()))) {
        if (!name.starts_with("loop")) continue;
        if (faccessat(blocks.get(), (name + "/loop").c_str(), F_OK, 0) != 0) continue;  // without a file
        auto device = open_at(AT_FDCWD, "/dev/" + name, O_RDWR);
        loop_info64 info{};
        if (!device.ok() || ioctl(device->get(), LOOP_GET_STATUS64, &info) != 0) continue;
        if (info.lo_device == wanted.st_dev && info.lo_inode == wanted.st_ino) {
            return std::optional(LoopDevice{"/dev/" + name, std::move(device).value()});
        }
    }
    return std::optional<LoopDevice>();
}

}  // namespace

Result<LoopDevice> attach_loop(int file) {
    if (auto found = TRY_IN("finding its loop device", find(file))) return std::move(*found);
    const UniqueFd control = TRY(open_at(AT_FDCWD, "/dev/loop-control", O_RDWR));
    loop_config config{};
    config.fd = static_cast<uint32_t>(file);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;  // or every page would be cached twice
    for (;;) {
        const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) return errno_error("getting a free loop device");
        const std::string path = "/dev/loop" + std::to_string(number);
        UniqueFd device = TRY(open_at(AT_FDCWD, path, O_RDWR));
        if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return LoopDevice{path, std::move(device)};
        if (errno != EBUSY) return errno_error("attaching the file to " + path);  // else somebody was quicker
    }
}

Result<void> refresh_loop(const LoopDevice& device) {
    if (ioctl(device.fd.get(), LOOP_SET_CAPACITY) != 0) return errno_error("growing " + device.path);
    return {};
}

}  // namespace hutch::overlayfs
