#pragma once

#include <stop_token>

#include "base/result.h"
#include "overlayfs/diff.h"
#include "overlayfs/layer_tar.h"

namespace hutch::overlayfs {

/// Writes how the tree of one stack differs from another (diff()) as an OCI image layer: what was added or modified as
/// it is now, whiteouts for what was deleted, and the directories on the way to them with their own owners and modes,
/// which who unpacks it elsewhere would else have to make up. `leave_out` says which changes it is not to have; it is
/// also asked of directories that are only entered.
Result<void> archive_changes(const OpenStacks& stacks, const std::stop_token& stop, ByteSink sink,
                             const std::function<bool(const Change&)>& leave_out);

}  // namespace hutch::overlayfs
