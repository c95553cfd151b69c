#pragma once

#include <cstdint>

#include "base/result.h"

namespace hutch::overlayfs {

/// Bytes on disk of all beneath `dir`: allocated blocks, so holes are free, and a file with several names counts once.
/// The tree must not change meanwhile. Any depth: one descriptor is open at a time.
Result<uint64_t> tree_bytes(int dir);

}  // namespace hutch::overlayfs
