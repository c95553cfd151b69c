#include "overlayfs/store_file.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "base/program.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "overlayfs/inode_ranges.h"
#include "overlayfs/loop_device.h"
#include "overlayfs/quota.h"

namespace hutch::overlayfs {

namespace {

constexpr uint64_t kAtFirst = 256 << 20;  // of what mkfs sees: small, so that the rest is the same way as growing
constexpr uint64_t kLeast = 1 << 30;

Result<void> run_mkfs(const std::string& path) {
    // What find_templates() relies on; and no discard, which would give back what is set aside.
    const auto end = TRY(run_program({"mkfs.btrfs", "--quiet", "--nodiscard", "--metadata=single", "--data=single",
                                      "--nodesize=16384", "--csum=crc32c", path},
                                     "btrfs-progs"));
    if (end.status != 0) return Error{ErrorKind::kSystem, EIO, "mkfs.btrfs failed: " + end.complaints};
    return {};
}

Result<UniqueFd> open_mounted(const std::string& dir) {
    return open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
}

Result<void> mount_at(int file, const std::string& dir) {
    const LoopDevice device = TRY(attach_loop(file));  // held until the mount does
    if (sys_mount(device.path.c_str(), dir.c_str(), "btrfs", 0, "nodiscard") != 0) {
        return errno_error("mounting " + device.path + " at " + dir);
    }
    return {};
}

/// Does something with the file system mounted.
template <typename Body>
Result<void> while_mounted(int file, const std::string& dir, Body body) {
    TRY(mount_at(file, dir));
    Undo unmount([&] { (void)sys_umount2(dir.c_str(), MNT_DETACH); });
    {
        const UniqueFd mounted = TRY(open_mounted(dir));
        TRY(body(mounted.get()));
    }
    unmount.commit();
    if (sys_umount2(dir.c_str(), 0) != 0) return errno_error("unmounting " + dir);
    return {};
}

/// So that limits are right: btrfs gives its counts up when it deletes a large subvolume, unless told not to.
void keep_counting(int mounted) {
    btrfs_ioctl_fs_info_args info{};
    if (ioctl(mounted, BTRFS_IOC_FS_INFO, &info) != 0) return;
    char id[37] = {};
    const __u8* u = info.fsid;
    snprintf(id, sizeof(id), "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
             u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    const std::string threshold = std::string("/sys/fs/btrfs/") + id + "/qgroups/drop_subtree_threshold";
    (void)write_value_at(AT_FDCWD, threshold, "8");  // the height of no tree; not there before Linux 6.1
}

Result<void> enable_quota(int mounted) {
    if (quota_of(mounted) != Quota::kQgroup) {
        btrfs_ioctl_quota_ctl_args enable{};
        enable.cmd = BTRFS_QUOTA_CTL_ENABLE;
        if (ioctl(mounted, BTRFS_IOC_QUOTA_CTL, &enable) != 0) return errno_error("turning the quotas of btrfs on");
    }
    keep_counting(mounted);
    return recount(mounted);
}

/// A file system with all it needs, in a file that nobody takes for one yet.
Result<void> fill(int file, const std::string& path, const std::string& dir) {
    if (ftruncate(file, kAtFirst) != 0) return errno_error("making it " + std::to_string(kAtFirst) + " bytes large");
    TRY(run_mkfs(path));
    std::vector<uint64_t> places;
    const auto begin = [&](int mounted) -> Result<void> {
        TRY(make_templates(mounted));
        places = TRY(find_templates(mounted));
        return {};
    };
    TRY(while_mounted(file, dir, begin));
    TRY(number_templates(file, places));
    return while_mounted(file, dir, check_templates);
}

Result<void> set_aside(int file, uint64_t bytes) {
    if (fallocate(file, 0, 0, static_cast<off_t>(bytes)) == 0) return {};
    const Error failure = errno_error("setting " + std::to_string(bytes) + " bytes aside");
    return failure.out_of_space() ? invalid(failure.message) : failure;
}

}  // namespace

Result<void> make_store_file(const std::string& path, uint64_t bytes, const std::string& dir) {
    const std::string operation = "making " + path;
    if (bytes < kLeast) return invalid(operation + ": it must be 1 GiB or more");
    const std::string part = path + ".part";
    if (unlink(part.c_str()) != 0 && errno != ENOENT) return errno_error(operation + ": removing " + part);
    const UniqueFd file = TRY_IN(operation, open_at(AT_FDCWD, part, O_RDWR | O_CREAT | O_EXCL, 0600));
    Undo remove([&] { (void)unlink(part.c_str()); });
    TRY_IN(operation, fill(file.get(), part, dir));
    TRY_IN(operation, set_aside(file.get(), bytes));
    if (fsync(file.get()) != 0) return errno_error(operation + ": syncing it");
    if (rename(part.c_str(), path.c_str()) != 0) return errno_error(operation + ": renaming " + part);
    remove.commit();
    const UniqueFd parent = TRY_IN(operation, open_at(AT_FDCWD, path.substr(0, path.rfind('/')), O_RDONLY));
    if (fsync(parent.get()) != 0) return errno_error(operation + ": syncing its directory");
    return {};
}

Result<void> mount_store_file(const std::string& path, const std::string& dir) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_RDWR));
    TRY_IN("mounting " + path, mount_at(file.get(), dir));
    const UniqueFd mounted = TRY(open_mounted(dir));
    return enable_quota(mounted.get());
}

Result<bool> grow_store_file(const std::string& path, uint64_t bytes, const std::string& dir) {
    const std::string operation = "growing " + path;
    const UniqueFd file = TRY_IN(operation, open_at(AT_FDCWD, path, O_RDWR));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return errno_error(operation);
    if (static_cast<uint64_t>(status.st_size) < bytes) TRY_IN(operation, set_aside(file.get(), bytes));
    const LoopDevice device = TRY_IN(operation, attach_loop(file.get()));
    TRY_IN(operation, refresh_loop(device));
    const UniqueFd mounted = TRY_IN(operation, open_mounted(dir));
    btrfs_ioctl_dev_info_args before{};
    before.devid = 1;
    if (ioctl(mounted.get(), BTRFS_IOC_DEV_INFO, &before) != 0) return errno_error(operation + ": reading its size");
    if (fstat(file.get(), &status) != 0) return errno_error(operation);
    constexpr uint64_t kSector = 4096;
    if (before.total_bytes / kSector >= static_cast<uint64_t>(status.st_size) / kSector) return false;
    btrfs_ioctl_vol_args resize{};
    std::strcpy(resize.name, "max");
    if (ioctl(mounted.get(), BTRFS_IOC_RESIZE, &resize) != 0) return errno_error(operation + ": resizing btrfs");
    return true;
}

}  // namespace hutch::overlayfs
