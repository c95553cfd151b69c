#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/layer.h"
#include "overlayfs/quota.h"
#include "overlayfs/spares.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// Makes the empty upper of a box: uppers/<box id>/{fs,work}. The upper's root takes mode, owner, xattrs and
/// times of the topmost of the layers below it, because in an overlay the upper's root is the one seen. Where the file
/// system can count it, it is counted apart, without a limit yet. EEXIST if the box has an upper. With `spares`, of one
/// of these if one fits.
Result<void> make_upper(const Store& store, const std::string& box_id, const std::vector<std::string>& layers,
                        Spares* spares = nullptr);

/// The same, where an upper that is there already is fine.
Result<void> ensure_upper(const Store& store, const std::string& box_id, const std::vector<std::string>& layers);

/// Makes the upper of a box at rest the layer `layer_id`, by rename: constant time beyond the sync of its
/// data. Durable when it returns; the box is left without an upper and a work directory (see make_upper). Nobody may
/// use its overlay any more, but its mount may still be there.
///
/// The caller chooses the id and writes it down first, as a layer known to recover(): the rename is the one step at
/// which the files change hands, so at no time are they something no row knows. After an error or a crash call it
/// again, or ask has_layer(): it either happened or did not.
Result<void> seal_upper(const Store& store, const std::string& box_id, const std::string& layer_id);

/// What holds uppers to their limit in the store with this root; of a btrfs, only one of ours can (inode_ranges.h).
Quota quota_of_uppers(int store_root);

/// The most the box may have written; layers below it count for nobody. False where the file system cannot enforce it.
Result<bool> limit_upper(const Store& store, const std::string& box_id, const DiskLimit& limit);

/// Its root directory.
Result<UniqueFd> open_upper(const Store& store, const std::string& box_id);

/// Writes to disk what a box has written, while it goes on: what is dirty decides how long that takes.
Result<void> sync_upper(const Store& store, const std::string& box_id);

/// Copies the upper of a box, exactly as it is (see copy_tree), into a layer being made; seal_layer() it later. On
/// btrfs by a snapshot: constant time beyond writing out what is dirty. Nobody may write to the box meanwhile: freeze
/// what runs in it, and thaw it when this returns. The box keeps its upper. With error.out_of_space() where the copy
/// does not fit.
Result<Import> copy_upper(const Store& store, const std::string& box_id, const std::stop_token& stop);

/// Bytes on disk of what a box has written, while it may be writing: by the file system's count (counted_use()) where
/// there is one. Walks the tree where not: for the background.
Result<uint64_t> upper_bytes(const Store& store, const std::string& box_id, const std::stop_token& stop);

/// Moves upper and work directory to trash: constant time. A missing one is fine.
Result<void> discard_upper(const Store& store, const std::string& box_id);

}  // namespace hutch::overlayfs
