#pragma once

#include "archives/tar.h"

namespace hutch::archives {

/// The content of bytes that are packed by gzip, xz or zstd, or by none of them. Their end is that of `packed`, which
/// is read to it; what is packed wrongly is kInvalid.
Result<Pull> plain_from(Pull packed);

}  // namespace hutch::archives
