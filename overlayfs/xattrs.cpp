#include "overlayfs/xattrs.h"

#include <sys/types.h>
#include <sys/xattr.h>

#include <optional>

namespace hutch::overlayfs {

namespace {

constexpr size_t kMost = 65536;  // XATTR_LIST_MAX and XATTR_SIZE_MAX

/// The *xattr calls take no directory descriptor before Linux 6.13. A name in a descriptor's directory is short
/// whatever the tree's depth.
std::string path_of(int dir, const std::string& name) {
    return "/proc/self/fd/" + std::to_string(dir) + "/" + name;
}

/// What `read` puts into a buffer: nothing, with errno, if it fails.
template <typename Read>
std::optional<std::string> read_whole(Read read) {
    std::string buffer(1024, '\0');
    ssize_t size = read(buffer);
    if (size < 0 && errno == ERANGE) {
        buffer.resize(kMost);
        size = read(buffer);
    }
    if (size < 0) return std::nullopt;
    buffer.resize(static_cast<size_t>(size));
    return buffer;
}

}  // namespace

Result<Xattrs> read_xattrs(int dir, const std::string& name) {
    const std::string path = path_of(dir, name);
    Xattrs xattrs;
    const auto list =
        read_whole([&](std::string& buffer) { return llistxattr(path.c_str(), buffer.data(), buffer.size()); });
    if (!list && errno == EOPNOTSUPP) return xattrs;
    if (!list) return errno_error("listing the attributes of " + name);
    for (size_t begin = 0; begin < list->size();) {
        const std::string xattr = list->c_str() + begin;
        begin += xattr.size() + 1;
        auto value = read_whole(
            [&](std::string& buffer) { return lgetxattr(path.c_str(), xattr.c_str(), buffer.data(), buffer.size()); });
        if (!value && errno == ENODATA) continue;  // taken away since
        if (!value) return errno_error("reading " + xattr + " of " + name);
        xattrs.emplace(xattr, *std::move(value));
    }
    return xattrs;
}

Result<void> write_xattr(int dir, const std::string& name, const std::string& xattr, const std::string& value) {
    const std::string path = path_of(dir, name);
    if (lsetxattr(path.c_str(), xattr.c_str(), value.data(), value.size(), 0) == 0) return {};
    return errno_error("setting " + xattr + " of " + name);
}

}  // namespace hutch::overlayfs
