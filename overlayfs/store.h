#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::overlayfs {

/// The directory that holds every box's files, on one filesystem. Owner-only (0700), so that a set-uid program in a
/// layer is out of everybody's reach on the host. Ids on disk are the box's own (0 is box root), never shifted.
///
///     layers/<layer id>/fs             an immutable tree, shared by boxes
///     uppers/<box id>/{fs,work}        what one box wrote
///     spares/<any name>                uppers made ahead (spares.h)
///     tmp/<id>/{fs,links}              a layer being made, and what keeps its hard links together
///     trash/<any name>                 what the Reaper deletes; survives restarts
///
/// An upper is what the file system counts (quota.h): on btrfs a subvolume. It becomes a layer as a whole.
class Store {
  public:
    /// Makes what is missing. `root` is absolute. Call it after the process took its own mount namespace: mount_box
    /// clones through these descriptors, and open_tree(2) refuses another namespace's mounts.
    static Result<Store> open(const std::string& root);

    [[nodiscard]] const std::string& path() const { return path_; }
    // Directory descriptors, open as long as the store is.
    [[nodiscard]] int root() const { return root_.get(); }
    [[nodiscard]] int layers() const { return layers_.get(); }
    [[nodiscard]] int uppers() const { return uppers_.get(); }
    [[nodiscard]] int spares() const { return spares_.get(); }
    [[nodiscard]] int tmp() const { return tmp_.get(); }
    [[nodiscard]] int trash() const { return trash_.get(); }

  private:
    Store() = default;

    std::string path_;
    UniqueFd root_, layers_, uppers_, spares_, tmp_, trash_;
};

/// Renames `dir`/`name` into `trash` under a new name: constant time at any size. False if there was none.
Result<bool> move_to_trash(int dir, const std::string& name, int trash);

/// kInvalid unless `id` is safe in a path; `noun` is for the message ("box", "layer").
Result<void> require_id(std::string_view noun, std::string_view id);

}  // namespace hutch::overlayfs
