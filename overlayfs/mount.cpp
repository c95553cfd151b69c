#include "overlayfs/mount.h"

#include <fcntl.h>

#include "base/fs_identity.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "overlayfs/overlay.h"

namespace hutch::overlayfs {

namespace {

/// A clone of the store's mount at which every id is shifted. One for all layers: an idmap is per mount, and
/// overlayfs takes each layer's from the mount its path lies on.
Result<UniqueFd> idmapped_view(const Store& store, int userns) {
    UniqueFd view(sys_open_tree(store.root(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    if (!view) return errno_error("cloning the mount of " + store.path());
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.propagation = MS_PRIVATE;  // never a peer of what it is about to be attached to
    attributes.userns_fd = static_cast<uint64_t>(userns);
    if (sys_mount_setattr(view.get(), "", AT_EMPTY_PATH, attributes) != 0) {
        return errno_error("mapping the ids of " + store.path());
    }
    return view;
}

OverlayDirs dirs_in(const std::string& view, const std::vector<std::string>& layers, const std::string& box_id) {
    OverlayDirs dirs;
    for (const std::string& layer : layers) dirs.lowers.push_back(view + "/layers/" + layer + "/fs");
    dirs.upper = view + "/uppers/" + box_id + "/fs";
    dirs.work = view + "/uppers/" + box_id + "/work";
    return dirs;
}

/// overlayfs refuses ids it cannot map back (EOVERFLOW at its work directory, then a read-only mount): on the view only
/// the box's own ids exist, so its own root has to be the one who makes things there.
Result<UniqueFd> overlay_as(uid_t base, const OverlayDirs& dirs, int dir, const std::string& name) {
    const FsIdentity identity = TRY(FsIdentity::take(base));
    return takes_lowers_one_by_one() ? overlay_by_fsconfig(dirs) : overlay_by_mount(dirs, dir, name);
}

}  // namespace

Result<UniqueFd> mount_box(const Store& store, const std::vector<std::string>& layers, const std::string& box_id,
                           int userns, uid_t base) {
    TRY(require_id("box", box_id));
    for (const std::string& layer : layers) TRY(require_id("layer", layer));
    if (layers.empty()) return invalid("mounting " + box_id + ": no layers");
    const std::string operation = "mounting " + box_id;

    const UniqueFd view = TRY_IN(operation, idmapped_view(store, userns));
    // Linux 6.1 refuses layers on a detached mount (6.18 takes them), so it is attached while the overlay takes its own
    // clones. The box's directory is a place that only this call uses and that needs no making or removing.
    if (sys_move_mount(view.get(), "", store.uppers(), box_id.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        return errno_error(operation + ": attaching the view of the store");
    }
    // Named by descriptor: short, whatever the store's path, and it tells the box nothing of the host.
    const std::string view_path = "/proc/self/fd/" + std::to_string(view.get());
    const auto detach = [&] { return sys_umount2(view_path.c_str(), kMntDetach); };
    Undo undo_attach([&] { (void)detach(); });
    UniqueFd overlay = TRY_IN(operation, overlay_as(base, dirs_in(view_path, layers, box_id), store.uppers(), box_id));
    undo_attach.commit();
    if (detach() != 0) return errno_error(operation + ": detaching the view of the store");
    return overlay;
}

}  // namespace hutch::overlayfs
