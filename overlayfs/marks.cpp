#include "overlayfs/marks.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace hutch::overlayfs {

namespace {

constexpr const char* kOpaque = "trusted.overlay.opaque";

}  // namespace

bool is_whiteout(const struct stat& status) {
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

Result<bool> is_opaque(int dir) {
    char value = 0;
    const ssize_t size = fgetxattr(dir, kOpaque, &value, 1);
    if (size >= 0) return size == 1 && value == 'y';
    if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE) return false;
    return errno_error(std::string("reading ") + kOpaque);
}

Result<void> set_opaque(int dir) {
    if (fsetxattr(dir, kOpaque, "y", 1, 0) == 0) return {};
    return errno_error(std::string("setting ") + kOpaque);
}

bool is_overlays_own(const std::string& xattr) {
    return xattr.starts_with("trusted.overlay.");
}

}  // namespace hutch::overlayfs
