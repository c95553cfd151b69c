#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "overlayfs/layer.h"
#include "overlayfs/tree_writer.h"

namespace hutch::overlayfs {

/// Gives the next bytes of an archive: how many of at most `size` it put into `buffer`, 0 at the end.
using Pull = std::function<Result<size_t>(char* buffer, size_t size)>;
/// Reads from `fd`, which stays the caller's.
Pull pull_from(int fd);

struct TarReport {
    uint64_t entries = 0;
    uint64_t bytes = 0;
    uint64_t skipped_nodes = 0;   ///< devices, FIFOs and sockets: a box gets its /dev from elsewhere
    uint64_t dropped_xattrs = 0;  ///< those of no meaning in a box (see xattr_rule)
};

/// Unpacks a tar archive, plain or packed by gzip, xz or zstd, into the import. The archive may be hostile: what lies
/// outside the import's tree is neither read nor changed, nothing of it is run, and the limits bound what it unpacks
/// to. Refused: "..", paths through links, whiteouts, overlayfs xattrs, owners beyond a box's ids. Leading '/' and the
/// attributes of the root are ignored. An error (kInvalid, kTooLarge, or kSystem with out_of_space()) abandons the
/// import.
Result<TarReport> import_tar(const Pull& pull, Import& import, const TreeLimits& limits);

}  // namespace hutch::overlayfs
