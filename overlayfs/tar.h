#pragma once

#include "archives/tar.h"
#include "base/result.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

using archives::Pull;
using archives::pull_from;
using archives::TarReport;
using archives::TreeLimits;

/// Unpacks the archive of an image into the import (archives::unpack_layer). An error abandons the import.
Result<TarReport> import_tar(const Pull& pull, Import& import, const TreeLimits& limits);

}  // namespace hutch::overlayfs
