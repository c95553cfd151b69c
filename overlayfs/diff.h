#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

/// How one file of a box differs from what the box began with.
struct Change {
    enum class Kind {
        kAdded,     ///< of a directory: followed by all that is in it
        kModified,  ///< content, a link's target, or the type of the file
        kMetadata,  ///< mode, owner or extended attributes alone; times are no change
        kDeleted,   ///< of a directory: with all that was in it, which is not told one by one
        kEntered,   ///< a directory that is as it was, before what is in it is looked at; only told for an archive
    };
    Kind kind;
    std::string path;   ///< from the root, without a leading '/'; "" is the root. Any bytes, any length
    mode_t type;        ///< S_IFREG, S_IFDIR, S_IFLNK, ...; of what was deleted: what it was
    uint64_t size = 0;  ///< bytes of a regular file, or of a link's target
    int dir = -1;       ///< with `name`: where the file is, to be read while the sink is told; -1 of what was deleted
    std::string name{};
};

/// What the changes are told for. A list has them in order of the paths. For an archive each directory is told before
/// what is in it, as it stands there or kEntered, but for the root; and of what is in a directory the deleted comes
/// first.
enum class Telling { kList, kArchive };

/// Takes the changes one by one; an error ends the diff.
using ChangeSink = std::function<Result<void>(const Change&)>;

/// Of which directories a tree is made, topmost first.
struct Stack {
    std::optional<std::string> box;   ///< whose upper is on top, if one's is
    std::vector<std::string> layers;  ///< below it
};

/// The directories of two stacks, held open: whatever becomes of the names by which they are found, a diff of these
/// compares what was there when they were opened.
struct OpenStacks {
    std::vector<UniqueFd> now;     ///< topmost first
    std::vector<UniqueFd> before;  ///< the same
    size_t common = 0;             ///< how many at the bottom of both are the same
};
Result<OpenStacks> open_stacks(const Store& store, const Stack& now, const std::vector<std::string>& before);

/// How the tree of `now` differs from that of the layers `before`: each directory followed by what is in it. Looks only
/// where layers have something that are not at the bottom of both, so it costs what those hold, not what is common;
/// files of equal length are compared by content. Mounts nothing and blocks on nothing, and the box may write
/// meanwhile: what vanishes under it is left out. ECANCELED when told to stop.
Result<void> diff(const OpenStacks& stacks, const std::stop_token& stop, const ChangeSink& sink,
                  Telling telling = Telling::kList);

}  // namespace hutch::overlayfs
