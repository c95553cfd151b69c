#include "overlayfs/copier.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "overlayfs/content.h"
#include "overlayfs/marks.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

constexpr const char* kLinks = "../links";  // beside the import's tree

Result<void> make_symlink(int from, const std::string& name, int to) {
    char target[PATH_MAX + 1];
    const ssize_t size = readlinkat(from, name.c_str(), target, sizeof(target) - 1);
    if (size < 0) return errno_error("reading the link " + name);
    target[size] = '\0';
    if (symlinkat(target, to, name.c_str()) != 0) return errno_error("making the link " + name);
    return {};
}

/// Whether several names are one file's that programs see as one. overlayfs makes whiteouts links of each other, to
/// which nothing in a box can tell.
bool has_names(const struct stat& status) {
    return status.st_nlink > 1 && !is_whiteout(status);
}

}  // namespace

Result<void> Copier::copy(int from, const std::string& name, const struct stat& status, int to) {
    if (stop_.stop_requested()) return errno_error("copying " + name, ECANCELED);
    if (has_names(status) && TRY(link(status, to, name))) return {};
    TRY(make(from, name, status, to));
    TRY(dress(from, name, status, to));
    if (has_names(status)) TRY(remember(status, to, name));
    return {};
}

Result<void> Copier::copy_attributes(int from, const struct stat& status, int to) {
    return dress(from, ".", status, to);
}

Result<void> Copier::finish() {
    if (!links_) return {};
    links_.reset();
    return remove_tree_at(import_.root(), kLinks);
}

Result<void> Copier::make(int from, const std::string& name, const struct stat& status, int to) {
    if (S_ISREG(status.st_mode)) return make_file(from, name, status, to);
    if (S_ISLNK(status.st_mode)) return make_symlink(from, name, to);
    if (mknodat(to, name.c_str(), status.st_mode & (S_IFMT | 0700), status.st_rdev) != 0) {
        return errno_error("making the node " + name);
    }
    return {};
}

Result<void> Copier::make_file(int from, const std::string& name, const struct stat& status, int to) {
    // O_NONBLOCK: it may be a FIFO by now.
    const UniqueFd source = TRY(open_at(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME));
    const UniqueFd made = TRY(open_at(to, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    TRY_IN(name, copy_content(source.get(), made.get(), status.st_size, stop_));
    return {};
}

/// Owner first, since changing it takes away set-uid bits and file capabilities; times last.
Result<void> Copier::dress(int from, const std::string& name, const struct stat& status, int to) {
    if (fchownat(to, name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("setting the owner of " + name);
    }
    if (!S_ISLNK(status.st_mode) && fchmodat(to, name.c_str(), status.st_mode & 07777, 0) != 0) {
        return errno_error("setting the mode of " + name);
    }
    for (const auto& [xattr, value] : TRY(read_xattrs(from, name))) {
        if (attributes_ == Attributes::kNotOverlays && is_overlays_own(xattr)) continue;
        TRY(write_xattr(to, name, xattr, value));
    }
    const timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
        return errno_error("setting the times of " + name);
    return {};
}

/// False if no name of the file was copied yet.
Result<bool> Copier::link(const struct stat& status, int to, const std::string& name) {
    const auto known = linked_.find({status.st_dev, status.st_ino});
    if (known == linked_.end()) return false;
    const char* const kept = known->second.c_str();
    if (linkat(links_.get(), kept, to, name.c_str(), 0) == 0) return true;
    // The original has as many names as the filesystem allows, and this is the last: the spare one becomes it.
    if (errno == EMLINK && renameat(links_.get(), kept, to, name.c_str()) == 0) return true;
    return errno_error("linking " + name);
}

Result<void> Copier::remember(const struct stat& status, int to, const std::string& name) {
    if (!links_) {
        if (mkdirat(import_.root(), kLinks, 0700) != 0) return errno_error("making a place for links");
        links_ = TRY(open_at(import_.root(), kLinks, O_RDONLY | O_DIRECTORY));
    }
    const std::string kept = std::to_string(linked_.size());
    if (linkat(to, name.c_str(), links_.get(), kept.c_str(), 0) != 0) return errno_error("keeping " + name);
    linked_.emplace(std::pair(status.st_dev, status.st_ino), kept);
    return {};
}

}  // namespace hutch::overlayfs
