#include "overlayfs/tree_cursor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "base/file.h"

namespace hutch::overlayfs {

namespace {

/// Nothing if `name` is no directory.
Result<UniqueFd> open_directory(int dir, const std::string& name) {
    auto opened = open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (opened.ok()) return opened;
    const int code = opened.error().code;
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return UniqueFd();
    return opened;
}

bool is(const UniqueFd& dir, dev_t device, ino_t inode) {
    struct stat status {};
    return fstat(dir.get(), &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

}  // namespace

Result<TreeCursor> TreeCursor::begin(int root) {
    TreeCursor cursor;
    cursor.root_ = TRY(duplicate(root));
    cursor.here_ = TRY(duplicate(root));
    struct stat status {};
    if (fstat(root, &status) != 0) return errno_error("looking at a tree's root");
    cursor.levels_.push_back({"", status.st_dev, status.st_ino});
    return cursor;
}

std::string TreeCursor::path() const {
    std::string path;
    for (const Level& level : levels_) {
        if (!path.empty()) path += '/';
        path += level.name;
    }
    return path;
}

Result<bool> TreeCursor::down(const std::string& name) {
    if (!here_) return false;
    UniqueFd below = TRY(open_directory(here_.get(), name));
    if (!below) return false;
    struct stat status {};
    if (fstat(below.get(), &status) != 0) return errno_error("looking at " + name);
    here_ = std::move(below);
    levels_.push_back({name, status.st_dev, status.st_ino});
    return true;
}

Result<void> TreeCursor::up() {
    levels_.pop_back();
    const Level& level = levels_.back();
    if (here_) here_ = TRY(open_at(here_.get(), "..", O_RDONLY | O_DIRECTORY));
    // After a move ".." may lead out of the tree.
    if (!here_ || !is(here_, level.device, level.inode)) here_ = TRY(seek());
    return {};
}

Result<UniqueFd> TreeCursor::seek() {
    UniqueFd found = TRY(duplicate(root_.get()));
    for (size_t i = 1; i < levels_.size(); ++i) {
        found = TRY(open_directory(found.get(), levels_[i].name));
        if (!found || !is(found, levels_[i].device, levels_[i].inode)) return UniqueFd();
    }
    return found;
}

}  // namespace hutch::overlayfs
