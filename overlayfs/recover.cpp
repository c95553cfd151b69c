#include "overlayfs/recover.h"

#include <functional>

#include "base/file.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

namespace {

using Keep = std::function<Result<bool>(const std::string&)>;

Result<std::vector<std::string>> sweep(int dir, int trash, const Keep& keep) {
    std::vector<std::string> moved;
    for (const std::string& name : TRY(names_in(dir))) {
        if (TRY(keep(name))) continue;
        if (TRY(move_to_trash(dir, name, trash))) moved.push_back(name);
    }
    return moved;
}

}  // namespace

Result<Recovered> recover(const Store& store, const std::set<std::string>& known_layers,
                          const std::set<std::string>& known_boxes) {
    Recovered recovered;
    // A known layer without its tree is what a crash just before seal_upper's rename leaves: the upper has the files.
    const Keep known_layer = [&](const std::string& name) -> Result<bool> {
        if (!known_layers.contains(name)) return false;
        return has_layer(store, name);
    };
    const Keep known_box = [&](const std::string& name) -> Result<bool> { return known_boxes.contains(name); };
    const Keep none = [](const std::string&) -> Result<bool> { return false; };
    recovered.layers = TRY_IN("recovering layers", sweep(store.layers(), store.trash(), known_layer));
    recovered.uppers = TRY_IN("recovering uppers", sweep(store.uppers(), store.trash(), known_box));
    TRY_IN("recovering spares", sweep(store.spares(), store.trash(), none));
    recovered.unfinished = TRY_IN("recovering tmp", sweep(store.tmp(), store.trash(), none));
    return recovered;
}

}  // namespace hutch::overlayfs
