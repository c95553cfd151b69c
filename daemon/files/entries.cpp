// Entries of directories: looked at, made, moved and removed.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fs_identity.h"
#include "daemon/files/file_error.h"
#include "daemon/files/files.h"

namespace hutch::daemon {
Result<struct stat> Files::look_at(const std::string& path, LastLink link) const {
    const UniqueFd found = TRY(resolve(path, O_PATH | (link == LastLink::kItself ? O_NOFOLLOW : 0)));
    struct stat status {};
    if (fstat(found.get(), &status) != 0) return file_error(errno, what(path));
    return status;
}

Result<void> Files::make_one_directory(const std::string& path) const {
    const Place place = TRY(entry_at(path, Mounts::kRefused));
    const FsIdentity as_user = TRY(identity());
    if (mkdirat(place.directory.get(), place.name.c_str(), 0755) != 0) return file_error(errno, what(path));
    return {};
}

// A place where something is mounted is busy for who shares the mounts. Of others, as we are, the kernel takes the
// mount away (detach_mounts() in fs/namespace.c), and the box would be without its /proc.
Result<struct stat> Files::movable(const std::string& path, const Place& place) const {
    struct statx found {};
    struct stat status {};
    const int directory = place.directory.get();
    if (statx(directory, place.name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &found) != 0 ||
        fstatat(directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return file_error(errno, what(path));
    }
    if ((found.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) return status;
    return Error{ErrorKind::kConflict, 0, what(path) + " is mounted in the box, and stays"};
}

Result<void> Files::rename(const std::string& path, const Files& targets, const std::string& target) const {
    const Place from = TRY(entry_at(path));
    TRY(movable(path, from));
    const Place to = TRY(targets.entry_at(target));
    const auto there = targets.movable(target, to);
    if (!there.ok() && there.error().kind != ErrorKind::kNotFound) return there.error();
    const FsIdentity as_user = TRY(identity());
    if (renameat(from.directory.get(), from.name.c_str(), to.directory.get(), to.name.c_str()) == 0) return {};
    if (errno == EXDEV) {
        return invalid(what(path) + " would have to be copied, being of the image or of another file system; use mv");
    }
    const bool of_target = errno == EEXIST || errno == ENOTEMPTY || errno == EISDIR || errno == ENOTDIR;
    return file_error(errno, of_target ? targets.what(target) : what(path));
}

Result<bool> Files::remove(const std::string& path, Removal removal, uint64_t most) const {
    const Place place = TRY(entry_at(path));
    const struct stat status = TRY(movable(path, place));
    if (S_ISDIR(status.st_mode) && removal == Removal::kNoDirectory) {
        return invalid(what(path) + " is a directory; say recursive to remove it with all that is in it");
    }
    const FsIdentity as_user = TRY(identity());
    if (!S_ISDIR(status.st_mode)) {
        if (unlinkat(place.directory.get(), place.name.c_str(), 0) != 0) return file_error(errno, what(path));
        return true;
    }
    const auto removed = remove_tree_at(place.directory.get(), place.name, most);
    if (removed.ok()) return true;
    if (removed.error().code == EFBIG) return false;
    return file_error(removed.error().code, what(path) + ": " + removed.error().message);
}

}  // namespace hutch::daemon
