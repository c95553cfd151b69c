#pragma once

#include <cstdint>
#include <stop_token>

#include "base/result.h"

namespace hutch::overlayfs {

/// Bytes on disk of all beneath `dir`: allocated blocks, so holes are free, and a file with several names counts once.
/// Any depth: one descriptor is open at a time. Of a tree that changes meanwhile, about what was there: what has
/// vanished or moved is left out, and nothing outside of it is ever looked at. ECANCELED when told to stop.
Result<uint64_t> tree_bytes(int dir, const std::stop_token& stop = {});

}  // namespace hutch::overlayfs
