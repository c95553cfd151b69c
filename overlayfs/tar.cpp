#include "overlayfs/tar.h"

namespace hutch::overlayfs {

Result<TarReport> import_tar(const Pull& pull, Import& import, const TreeLimits& limits) {
    if (import.root() < 0) return Error{ErrorKind::kConflict, 0, "unpacking into " + import.id() + ": abandoned"};
    auto report = archives::unpack_layer(pull, import.root(), limits);
    if (report.ok()) return report;
    import.abandon();
    return std::move(report).error().in("unpacking into layer " + import.id());
}

}  // namespace hutch::overlayfs
