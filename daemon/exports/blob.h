#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "overlayfs/store.h"

namespace hutch::daemon {

/// A layer as others take it: its archive, packed by gzip, in a file without a name that goes with this.
struct LayerBlob {
    UniqueFd file;
    std::string diff_id;  ///< digest of the plain archive
    std::string digest;   ///< of the file's bytes
    int64_t bytes = 0;
};

/// Writes that of the topmost of `stack` (ids, topmost first) into a file on the store's file system. Layers that lie
/// on others are without the files that each start of a box writes anew. On a worker thread; memory does not grow with
/// the layer.
Result<LayerBlob> write_blob(const overlayfs::Store& store, const std::vector<std::string>& stack,
                             const std::stop_token& stop);

/// The next bytes of it, from `offset`, at most `most`.
Result<std::string> read_blob(const LayerBlob& blob, int64_t offset, size_t most);

}  // namespace hutch::daemon
