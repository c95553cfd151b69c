#include "overlayfs/change_archive.h"

#include <utility>

namespace hutch::overlayfs {

Result<void> archive_changes(const OpenStacks& stacks, const std::stop_token& stop, ByteSink sink,
                             const std::function<bool(const Change&)>& leave_out) {
    LayerTar tar = TRY(LayerTar::open(std::move(sink), stop));
    const auto add = [&](const Change& change) -> Result<void> {
        if (leave_out(change)) return {};
        if (change.kind == Change::Kind::kDeleted) return tar.add_whiteout(change.path);
        if (change.kind == Change::Kind::kEntered) return tar.hold(change.path, change.dir, change.name);
        return tar.add(change.path, change.dir, change.name, change.type);
    };
    TRY(diff(stacks, stop, add, Telling::kArchive));
    return tar.finish();
}

}  // namespace hutch::overlayfs
