#pragma once

#include <stop_token>

#include "base/result.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

/// Copies all beneath the directory `from`, and its own attributes, into the empty import, exactly (see Copier):
/// xattrs and whiteouts of overlayfs too. Any depth; of all directories, one is open at a time. Nobody may change the
/// tree meanwhile: where that shows, it is an error. ECANCELED when told to stop. An error abandons the import.
Result<void> copy_tree(int from, Import& to, const std::stop_token& stop);

}  // namespace hutch::overlayfs
