#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// How one file of a box differs from what the box began with.
struct Change {
    enum class Kind {
        kAdded,     ///< of a directory: followed by all that is in it
        kModified,  ///< content, a link's target, or the type of the file
        kMetadata,  ///< mode, owner or extended attributes alone; times are no change
        kDeleted,   ///< of a directory: with all that was in it, which is not told one by one
    };
    Kind kind;
    std::string path;   ///< from the root, without a leading '/'; "" is the root. Any bytes, any length
    mode_t type;        ///< S_IFREG, S_IFDIR, S_IFLNK, ...; of what was deleted: what it was
    uint64_t size = 0;  ///< bytes of a regular file, or of a link's target
};

/// Takes the changes one by one; an error ends the diff.
using ChangeSink = std::function<Result<void>(const Change&)>;

/// Of which directories a tree is made, topmost first.
struct Stack {
    std::optional<std::string> box;   ///< whose upper is on top, if one's is
    std::vector<std::string> layers;  ///< below it
};

/// What `tops` changed of the layers `base`, on which they lie: in order of the paths, each directory followed by what
/// is in it. Looks only where the tops have something, so it costs what they hold, not what the base does; files of
/// equal length are compared by content. Mounts nothing and blocks on nothing, and the box may write meanwhile: what
/// vanishes under it is left out. ECANCELED when told to stop.
Result<void> diff(const Store& store, const Stack& tops, const std::vector<std::string>& base,
                  const std::stop_token& stop, const ChangeSink& sink);

}  // namespace hutch::overlayfs
