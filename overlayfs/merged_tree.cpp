#include "overlayfs/merged_tree.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/directory.h"
#include "base/file.h"
#include "overlayfs/marks.h"

namespace hutch::overlayfs {

namespace {

/// Nothing if there is none.
Result<std::optional<struct stat>> status_of(int dir, const std::string& name) {
    std::optional<struct stat> status;
    if (dir < 0) return status;  // its directory vanished
    if (fstatat(dir, name.c_str(), &status.emplace(), AT_SYMLINK_NOFOLLOW) == 0) return status;
    if (errno == ENOENT) return std::optional<struct stat>();
    return errno_error("looking at " + name);
}

}  // namespace

Result<MergedTree> MergedTree::begin(std::span<const UniqueFd> roots) {
    MergedTree tree;
    tree.levels_.emplace_back();
    for (const UniqueFd& root : roots) {
        tree.levels_.back().layers.push_back(tree.cursors_.size());
        tree.cursors_.push_back(TRY(TreeCursor::begin(root.get())));
    }
    return tree;
}

Result<std::vector<std::string>> MergedTree::names(size_t count, size_t most_bytes) const {
    std::vector<std::string> merged;
    for (const size_t layer : layers()) {
        if (layer >= count) break;
        if (dir(layer) < 0) continue;
        auto names = TRY(names_in(dir(layer), most_bytes));
        const bool first = merged.empty();
        std::move(names.begin(), names.end(), std::back_inserter(merged));
        std::sort(merged.begin(), merged.end());
        if (!first) merged.erase(std::unique(merged.begin(), merged.end()), merged.end());
    }
    return merged;
}

Result<std::optional<MergedTree::Found>> MergedTree::topmost(const std::string& name) const {
    std::optional<Found> found;
    for (const size_t layer : layers()) {
        if (const auto status = TRY(status_of(dir(layer), name))) {
            found = {*status, layer};
            break;
        }
    }
    return found;
}

Result<std::optional<MergedTree::Found>> MergedTree::visible(const std::string& name) const {
    auto found = TRY(topmost(name));
    if (found && is_whiteout(found->status)) found.reset();
    return found;
}

Result<bool> MergedTree::merge(size_t layer, Level& level) {
    const auto status = TRY(status_of(dir(layer), level.name));
    if (!status) return true;
    level.closed = !S_ISDIR(status->st_mode);
    if (level.closed) return false;
    if (!TRY(cursors_[layer].down(level.name))) return true;
    level.layers.push_back(layer);
    level.closed = TRY(is_opaque(dir(layer)));
    return !level.closed;
}

Result<bool> MergedTree::down(const std::string& name) {
    Level level{name, {}, false};
    for (const size_t layer : layers()) {
        if (!TRY(merge(layer, level))) break;
    }
    if (level.layers.empty()) return false;
    levels_.push_back(std::move(level));
    return true;
}

Result<void> MergedTree::up() {
    for (const size_t layer : layers()) TRY(cursors_[layer].up());
    levels_.pop_back();
    return {};
}

std::string MergedTree::path() const {
    std::string path;
    for (const Level& level : levels_) {
        if (!path.empty()) path += '/';
        path += level.name;
    }
    return path;
}

}  // namespace hutch::overlayfs
