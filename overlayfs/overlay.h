#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::overlayfs {

constexpr int kMntDetach = 2;  ///< MNT_DETACH of <sys/mount.h>, which must not meet <linux/mount.h>

/// The directories of one overlay. Names must hold no ':', ',' or '\', which the kernel's option parser takes for its
/// own. The kernel shows them in the box's mountinfo.
struct OverlayDirs {
    std::vector<std::string> lowers;  ///< topmost first
    std::string upper;
    std::string work;
};

/// Whether the kernel appends lowers one by one (`lowerdir+`, Linux 6.5 or later). Found out once.
bool takes_lowers_one_by_one();

// Both make an overlay with nodev set, set-uid honoured, and metacopy, redirects and index off (a layer may come from
// anybody, so what its xattrs point to is never followed; overlayfs.rst), and answer it as a detached mount. The
// thread's fsuid and capabilities become those with which the overlay does its own file work.

/// By fsconfig(2): needs takes_lowers_one_by_one(), since one value holds 255 bytes.
Result<UniqueFd> overlay_by_fsconfig(const OverlayDirs& dirs);
/// By mount(2) over `dir`/`name`, then taken off again: for older kernels. All options share one page (E2BIG beyond).
Result<UniqueFd> overlay_by_mount(const OverlayDirs& dirs, int dir, const std::string& name);

}  // namespace hutch::overlayfs
