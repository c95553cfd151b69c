#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::overlayfs {

/// A place in a directory tree of any depth: down by name, no link followed, and up by "..", with no descriptor held
/// for the levels between. In a tree that others change meanwhile it never leaves the tree.
class TreeCursor {
  public:
    /// Begins at the directory `root`, which stays the caller's.
    static Result<TreeCursor> begin(int root);

    /// The directory it is at; -1 where up() found none.
    [[nodiscard]] int dir() const { return here_.get(); }
    /// Names from the root to here, with '/' between; "" for the root.
    [[nodiscard]] std::string path() const;
    /// False, and it stays, if `name` is no directory (any more).
    Result<bool> down(const std::string& name);
    /// Back from the last down(). Where that directory was moved meanwhile it is sought by its name from the root; if
    /// it is not there either, dir() is -1 until a further up() comes to one that is.
    Result<void> up();

  private:
    struct Level {
        std::string name;
        dev_t device;
        ino_t inode;
    };
    TreeCursor() = default;
    Result<UniqueFd> seek();

    UniqueFd root_, here_;
    std::vector<Level> levels_;  // from the root down to here
};

}  // namespace hutch::overlayfs
