#pragma once

#include "archives/tar.h"

namespace hutch::archives {

/// kOfLayers: those that layers of OCI images have. xz, which none has, takes as much memory as its maker likes.
enum class Packers { kAll, kOfLayers };

/// The content of bytes that are packed by gzip, xz or zstd, or by none of them. Their end is that of `packed`, which
/// is read to it; what is packed wrongly is kInvalid.
Result<Pull> plain_from(Pull packed, Packers packers = Packers::kAll);

}  // namespace hutch::archives
