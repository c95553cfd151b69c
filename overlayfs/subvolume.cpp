#include "overlayfs/subvolume.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cstring>

namespace hutch::overlayfs {

namespace {

template <size_t kSize>
Result<void> put_name(char (&field)[kSize], const std::string& name) {
    if (name.size() >= kSize) return errno_error("subvolume " + name, ENAMETOOLONG);
    std::memcpy(field, name.c_str(), name.size() + 1);
    return {};
}

}  // namespace

bool on_btrfs(int dir) {
    struct statfs system {};
    return fstatfs(dir, &system) == 0 && system.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(int dir) {
    struct stat status {};
    return fstat(dir, &status) == 0 && status.st_ino == BTRFS_FIRST_FREE_OBJECTID && on_btrfs(dir);
}

Result<void> make_subvolume(int dir, const std::string& name) {
    btrfs_ioctl_vol_args arguments{};
    TRY(put_name(arguments.name, name));
    if (ioctl(dir, BTRFS_IOC_SUBVOL_CREATE, &arguments) != 0) return errno_error("making the subvolume " + name);
    return {};
}

Result<void> snapshot_subvolume(int source, int dir, const std::string& name) {
    btrfs_ioctl_vol_args_v2 arguments{};
    arguments.fd = source;
    TRY(put_name(arguments.name, name));
    if (ioctl(dir, BTRFS_IOC_SNAP_CREATE_V2, &arguments) != 0) return errno_error("making the snapshot " + name);
    return {};
}

Result<void> destroy_subvolume(int dir, const std::string& name) {
    btrfs_ioctl_vol_args arguments{};
    TRY(put_name(arguments.name, name));
    if (ioctl(dir, BTRFS_IOC_SNAP_DESTROY, &arguments) != 0) return errno_error("deleting the subvolume " + name);
    return {};
}

Result<uint64_t> subvolume_id(int dir) {
    btrfs_ioctl_ino_lookup_args lookup{};
    lookup.objectid = BTRFS_FIRST_FREE_OBJECTID;
    if (ioctl(dir, BTRFS_IOC_INO_LOOKUP, &lookup) != 0) return errno_error("reading the id of a subvolume");
    return lookup.treeid;
}

Result<std::optional<TreeItem>> last_item(int dir, uint64_t tree, uint64_t object, uint32_t type, uint64_t first,
                                          uint64_t last) {
    btrfs_ioctl_search_args search{};
    btrfs_ioctl_search_key& key = search.key;
    key.tree_id = tree;
    key.min_objectid = key.max_objectid = object;
    key.min_type = key.max_type = type;
    key.min_offset = first;
    key.max_offset = last;
    key.max_transid = UINT64_MAX;
    key.nr_items = UINT32_MAX;
    std::optional<TreeItem> found;
    if (ioctl(dir, BTRFS_IOC_TREE_SEARCH, &search) != 0) {
        if (errno == ENOENT) return found;
        return errno_error("reading tree " + std::to_string(tree) + " of btrfs");
    }
    const char* at = search.buf;
    for (uint32_t i = 0; i < key.nr_items; ++i) {
        btrfs_ioctl_search_header header{};
        std::memcpy(&header, at, sizeof(header));
        at += sizeof(header);
        found = {header.offset, std::string(at, header.len)};
        at += header.len;
    }
    return found;
}

}  // namespace hutch::overlayfs
