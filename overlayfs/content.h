#pragma once

#include <sys/types.h>

#include <stop_token>

#include "base/result.h"

namespace hutch::overlayfs {

// What is in regular files, open for reading or writing. A hole is not read, whatever its size. ECANCELED when told to
// stop.

/// Copies all `size` bytes of `from` into the empty file `to`; holes stay holes. Where the filesystem can, they share
/// their blocks: copy_file_range(2) is a reflink then, at once at any size.
Result<void> copy_content(int from, int to, off_t size, const std::stop_token& stop);
/// Whether two files of `size` bytes hold the same. One that got shorter meanwhile ends where it does.
Result<bool> same_content(int left, int right, off_t size, const std::stop_token& stop);

}  // namespace hutch::overlayfs
