#include "overlayfs/store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"

namespace hutch::overlayfs {

namespace {

constexpr mode_t kOwnerOnly = 0700;

Result<UniqueFd> open_made(int dir, const std::string& name) {
    TRY(make_dirs_at(dir, name, kOwnerOnly));
    return open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

/// Has ext4 put each new directory in `dir` into another block group (chattr +T). Every mount of an overlay makes and
/// deletes some files beside its upper, and ext4 gives no inode out again for five seconds (recently_deleted()) but
/// looks at each: with all uppers in one group a burst of boxes gets slower by the box. Other filesystems refuse, fine.
void spread_children(int dir) {
    int flags = 0;
    if (ioctl(dir, FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_TOPDIR_FL) != 0) return;
    flags |= FS_TOPDIR_FL;
    (void)ioctl(dir, FS_IOC_SETFLAGS, &flags);
}

}  // namespace

Result<Store> Store::open(const std::string& root) {
    if (root.empty() || root.front() != '/') return invalid("the store's path must be absolute: \"" + root + "\"");
    Store store;
    store.path_ = root;
    store.root_ = TRY_IN("store", open_made(AT_FDCWD, root));
    struct stat status {};
    if (fstat(store.root(), &status) != 0) return errno_error("looking at " + root);
    if (status.st_uid != geteuid()) return errno_error("store " + root + " belongs to somebody else", EPERM);
    if (fchmod(store.root(), kOwnerOnly) != 0) return errno_error("closing " + root + " to others");
    store.layers_ = TRY_IN("store", open_made(store.root(), "layers"));
    store.uppers_ = TRY_IN("store", open_made(store.root(), "uppers"));
    spread_children(store.uppers());
    store.spares_ = TRY_IN("store", open_made(store.root(), "spares"));
    store.tmp_ = TRY_IN("store", open_made(store.root(), "tmp"));
    store.trash_ = TRY_IN("store", open_made(store.root(), "trash"));
    return store;
}

Result<bool> move_to_trash(int dir, const std::string& name, int trash) {
    const std::string unique = random_id();  // the same id may be discarded again before the Reaper comes by
    if (renameat2(dir, name.c_str(), trash, unique.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno == ENOENT) return false;
    return errno_error("moving " + name + " to trash");
}

Result<void> require_id(std::string_view noun, std::string_view id) {
    if (is_safe_id(id)) return {};
    return invalid(std::string("not a ").append(noun).append(" id: \"").append(id) + "\"");
}

}  // namespace hutch::overlayfs
