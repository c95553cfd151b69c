#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::overlayfs {

/// A file as a block device (loop(4)). It goes with its last user: a mount, or this descriptor.
struct LoopDevice {
    std::string path;  ///< "/dev/loop3"
    UniqueFd fd;
};

/// The device that has the open file already, or a new one. Two would be two disks with the same file system.
Result<LoopDevice> attach_loop(int file);
/// Has it notice that its file has grown.
Result<void> refresh_loop(const LoopDevice& device);

}  // namespace hutch::overlayfs
