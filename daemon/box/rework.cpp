#include "daemon/box/rework.h"

#include "overlayfs/layer.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

Result<void> thaw_if_there(Mechanisms& mechanisms, const std::string& box) {
    auto group = mechanisms.cgroups.reopen(box);
    if (group.ok()) return group->thaw();
    if (group.error().code == ENOENT) return {};
    return std::move(group).error();
}

}  // namespace

Result<void> seal_files(Mechanisms& mechanisms, const BoxRecord& box) {
    TRY(overlayfs::seal_upper(mechanisms.store, box.id, box.change_layer));
    std::vector<std::string> layers = box.layers;
    layers.insert(layers.begin(), box.change_layer);
    return overlayfs::ensure_upper(mechanisms.store, box.id, layers);
}

Result<void> reset_files(Mechanisms& mechanisms, const BoxRecord& box) {
    for (const std::string& layer : box.layers) {  // what is there stays as long as there is nothing to take its place
        if (TRY(overlayfs::has_layer(mechanisms.store, layer))) continue;
        return Error{ErrorKind::kNotFound, 0, "layer " + layer + " is not in the store"};
    }
    TRY(overlayfs::discard_upper(mechanisms.store, box.id));
    mechanisms.reaper->nudge();
    return overlayfs::make_upper(mechanisms.store, box.id, box.layers);
}

Result<BoxRecord> finish_change(Mechanisms& mechanisms, BoxRecord box) {
    switch (box.change) {
        case FilesChange::kNone:
            return box;
        case FilesChange::kSealing:
            if (TRY(overlayfs::has_layer(mechanisms.store, box.change_layer))) {
                TRY(seal_files(mechanisms, box));
                box.layers.insert(box.layers.begin(), box.change_layer);
                box.disk_bytes = 0;
            }
            break;
        case FilesChange::kCopying:
            TRY(thaw_if_there(mechanisms, box.id));
            break;
        case FilesChange::kResetting:
            TRY(reset_files(mechanisms, box));
            box.disk_bytes = 0;
            break;
    }
    box.change = FilesChange::kNone;
    box.change_layer.clear();
    return box;
}

void take_files(BoxRecord& box, const BoxRecord& mended) {
    box.layers = mended.layers;
    box.disk_bytes = mended.disk_bytes;
    box.change = mended.change;
    box.change_layer = mended.change_layer;
}

}  // namespace hutch::daemon
