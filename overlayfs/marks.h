#pragma once

#include <sys/stat.h>

#include <string>

#include "base/result.h"

namespace hutch::overlayfs {

// What overlayfs writes into its directories for itself (overlayfs.rst).

/// The character device 0/0 that stands where a file of a layer below was deleted.
bool is_whiteout(const struct stat& status);

/// Whether the directory `dir` hides what the layers below it have at its place.
Result<bool> is_opaque(int dir);
Result<void> set_opaque(int dir);

/// Whether an extended attribute is overlayfs's own (trusted.overlay.*): no program in a box sees it.
bool is_overlays_own(const std::string& xattr);

}  // namespace hutch::overlayfs
