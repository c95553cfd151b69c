#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// A layer being made: the directory tmp/<id>/fs, to be filled through root(). Unless sealed, it goes to trash with
/// this object (or, after a crash, at recover()).
class Import {
  public:
    Import(Import&&) = default;
    Import& operator=(Import&&) = delete;
    ~Import() { abandon(); }

    [[nodiscard]] const std::string& id() const { return id_; }
    /// The tree's root directory (0755, root); -1 once sealed or abandoned.
    [[nodiscard]] int root() const { return root_.get(); }
    /// Gives it up now. Idempotent.
    void abandon();

  private:
    friend Result<Import> begin_layer(const Store& store);
    friend Result<Import> begin_layer_from(const Store& store, int upper);
    friend Result<std::string> place_layer(const Store& store, Import import);
    Import() = default;

    std::string id_;
    UniqueFd tmp_, trash_, root_;
};

Result<Import> begin_layer(const Store& store);

/// The same, with the tree that the subvolume of an upper (a descriptor) holds at this moment; btrfs only. Constant
/// time beyond writing out what of it is dirty.
Result<Import> begin_layer_from(const Store& store, int upper);

/// Makes the import a layer and answers its id. Durable when it returns: data, then the rename, then its directory.
/// On error the layer does not exist.
Result<std::string> seal_layer(const Store& store, Import import);

/// The same, but that it is durable only once write_out() has returned: for several, of which nobody is told before.
Result<std::string> place_layer(const Store& store, Import import);
/// Makes durable what was placed. `since`: the store's root, opened before any of it was written, since each opening
/// hears once of what could not be written back (syncfs(2)).
Result<void> write_out(const Store& store, const UniqueFd& since);

/// False for a layer that is not there, or only half (a crash within seal_upper).
Result<bool> has_layer(const Store& store, const std::string& id);
/// Its root directory.
Result<UniqueFd> open_layer(const Store& store, const std::string& id);
/// Those of several, in their order.
Result<std::vector<UniqueFd>> open_layers(const Store& store, const std::vector<std::string>& ids);
/// Moves it to trash: constant time. Boxes that have it mounted keep their mount but will miss files as they go, so
/// no box may use it. A missing one is fine.
Result<void> discard_layer(const Store& store, const std::string& id);
/// Has the layer `dir`/`name`, or what is left of one, count for nobody any more. Nothing to do if it never did.
Result<void> leave_quota(int dir, const std::string& name);
/// Bytes on disk: by the file system's count (counted_use()) of a layer that was an upper. Walks the tree of any other:
/// for seal time, not for the hot path.
Result<uint64_t> layer_bytes(const Store& store, const std::string& id, const std::stop_token& stop = {});

}  // namespace hutch::overlayfs
