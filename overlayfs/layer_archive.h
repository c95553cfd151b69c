#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "overlayfs/layer_tar.h"

namespace hutch::overlayfs {

/// Writes one layer of a stack alone as an OCI image layer: all that its directory holds, whiteouts for what it hides
/// of the layers below it. Opaque directories, which say that of all names at once, become whiteouts one by one: that
/// is what the image-spec asks of who writes (layer.md). `stack` is that layer and those below it, topmost first, as
/// descriptors. `leave_out` names paths (from the root, without a leading '/') that are not to be in it. Mounts
/// nothing; ECANCELED when told to stop. The same layer over the same layers gives the same bytes.
Result<void> archive_layer(const std::vector<UniqueFd>& stack, const std::stop_token& stop, ByteSink sink,
                           const std::function<bool(const std::string& path)>& leave_out);

}  // namespace hutch::overlayfs
