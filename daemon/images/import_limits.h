#pragma once

#include "archives/tree_writer.h"

namespace hutch::daemon {

/// What an image may unpack to.
inline constexpr archives::TreeLimits kImportLimits{.bytes = 64ULL << 30U, .entries = 5'000'000};

}  // namespace hutch::daemon
