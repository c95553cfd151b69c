#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch {

/// What so many names that are so long together take of memory.
constexpr size_t names_bytes(size_t count, size_t length) {
    return count * 2 * sizeof(std::string) + length;
}
/// As names_in() of file.h, of a directory that may hold any number of them: EFBIG when they would take more than
/// `most_bytes` (names_bytes).
Result<std::vector<std::string>> names_in(int dir, size_t most_bytes);

}  // namespace hutch
