#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "archives/tar.h"
#include "daemon/images/oci_import.h"
#include "overlayfs/oci_layer.h"

namespace hutch::daemon {

/// What the layers of one image have come to so far, together. Counted by several threads.
struct OciSum {
    std::atomic<uint64_t> plain_bytes{0};  ///< of archives
    std::atomic<uint64_t> file_bytes{0};
    std::atomic<uint64_t> entries{0};
};

/// The bytes of `blob`, which must live as long.
archives::Pull pull_blob(const OciBlob& blob);

/// Unpacks it into `layer`, and compares what it is called with what it is. `descriptor`: of the blob, the digest of
/// which is told in `record` though nobody told it before. On a worker thread.
Result<void> unpack_blob(const OciBlob& blob, const oci::Descriptor& descriptor, const std::string& diff_id,
                         overlayfs::OciLayer& layer, OciSum& sum, LayerBlobRecord& record);

}  // namespace hutch::daemon
