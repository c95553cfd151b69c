#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/tree_cursor.h"

namespace hutch::overlayfs {

/// What overlayfs would show of directories laid on each other, found out without a mount: a place in the merged tree,
/// and the names there. A whiteout hides what is below it, and so does anything that is no directory; directories of
/// the same name are merged down to the first opaque one (overlayfs.rst). Redirects are not followed, as in our mounts.
///
/// Any depth, with two descriptors for each of the directories. They may change meanwhile: what has vanished is left
/// out, and nothing else than what they hold is ever opened. After an error only destroying it is left.
class MergedTree {
  public:
    struct Found {
        struct stat status;  ///< of a whiteout too
        size_t layer;        ///< which of the roots has it, 0 for the topmost
    };

    /// At the root. `roots` are directories, topmost first, which may be closed afterwards. None give an empty tree.
    static Result<MergedTree> begin(std::span<const UniqueFd> roots);

    /// What the first `count` of the roots have here, in the order of their bytes; names of whiteouts too. EFBIG when
    /// one of these has more than `most_bytes` of them (names_in).
    Result<std::vector<std::string>> names(size_t count = SIZE_MAX, size_t most_bytes = SIZE_MAX) const;
    /// The topmost `name` here, which may be a whiteout.
    Result<std::optional<Found>> topmost(const std::string& name) const;
    /// The same, but nothing for a whiteout: what a program would see.
    Result<std::optional<Found>> visible(const std::string& name) const;
    /// False, and it stays, if `name` is no directory (any more).
    Result<bool> down(const std::string& name);
    Result<void> up();

    [[nodiscard]] std::string path() const;
    /// Which of the roots make up the directory here, topmost first.
    [[nodiscard]] const std::vector<size_t>& layers() const { return levels_.back().layers; }
    /// The directory that one of them has here.
    [[nodiscard]] int dir(size_t layer) const { return cursors_[layer].dir(); }
    /// Whether one of them hides what further layers, below all of these, might have here.
    [[nodiscard]] bool closed() const { return levels_.back().closed; }

  private:
    struct Level {
        std::string name;
        std::vector<size_t> layers;
        bool closed = false;
    };
    MergedTree() = default;
    /// False once nothing further down counts.
    Result<bool> merge(size_t layer, Level& level);

    std::vector<TreeCursor> cursors_;  // one for each root; those of the present level's layers are at it
    std::vector<Level> levels_;
};

}  // namespace hutch::overlayfs
