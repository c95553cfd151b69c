#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/merged_tree.h"

namespace hutch::overlayfs {

/// Finds paths in layers laid on each other (MergedTree): quick where one is near the last, as those in the order of a
/// tree are. Paths are relative, without "." and "..", "" is the root. No link is followed.
class MergedPath {
  public:
    /// `layers`: root directories, topmost first, which may be closed afterwards.
    static Result<MergedPath> begin(std::span<const UniqueFd> layers);

    /// Goes to a directory; false where there is none.
    Result<bool> enter(const std::string& path);
    /// What is at `path`, not a whiteout; then dir() is that which it is in.
    Result<std::optional<MergedTree::Found>> find(const std::string& path);
    /// After enter(): the directory as the topmost layer has it. After find(): that which `layer` of it is in.
    [[nodiscard]] int topmost() const { return tree_.dir(tree_.layers().front()); }
    [[nodiscard]] int dir(size_t layer) const { return tree_.dir(layer); }

  private:
    explicit MergedPath(MergedTree tree) : tree_(std::move(tree)) {}
    MergedTree tree_;
    std::vector<std::string> names_;  ///< of the way from the root to where it is
};

/// What layers show at the absolute `path`, as a program in the box would find it, links followed within them, some
/// tens at most: its path without links, relative to the root. ENOENT where there is nothing, ELOOP of too many links.
Result<std::string> real_path(std::span<const UniqueFd> layers, const std::string& path);
/// The content of a regular file of theirs; ENOENT where there is none, EFBIG above `limit` bytes.
Result<std::string> read_merged(std::span<const UniqueFd> layers, const std::string& path, size_t limit);

}  // namespace hutch::overlayfs
