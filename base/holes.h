#pragma once

#include <string_view>

#include "base/result.h"

namespace hutch {

/// Writes at the file's offset, and passes over whole blocks of zeros: in a new file they become holes. What ends in
/// some has its length only when the caller sets it (ftruncate(2) to the offset).
Result<void> write_with_holes(int fd, std::string_view data);

}  // namespace hutch
