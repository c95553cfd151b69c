#include "overlayfs/upper.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/undo.h"
#include "overlayfs/marks.h"
#include "overlayfs/tree.h"
#include "overlayfs/tree_copy.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

/// False if it was there. umask may have narrowed what was made.
Result<bool> make_directory(int dir, const std::string& name, mode_t mode) {
    if (mkdirat(dir, name.c_str(), mode) == 0) return true;
    if (errno == EEXIST) return false;
    return errno_error("making " + name);
}

/// Gives the directory `name` what a program sees of the directory `model`.
Result<void> take_after(int dir, const std::string& name, int model_dir, const struct stat& model) {
    struct stat made {};
    if (fstatat(dir, name.c_str(), &made, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("looking at " + name);
    if ((made.st_uid != model.st_uid || made.st_gid != model.st_gid) &&
        fchownat(dir, name.c_str(), model.st_uid, model.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("setting the owner of " + name);
    }
    if (made.st_mode != model.st_mode && fchmodat(dir, name.c_str(), model.st_mode & 07777, 0) != 0) {
        return errno_error("setting the mode of " + name);
    }
    for (const auto& [xattr, value] : TRY(read_xattrs(model_dir, "."))) {
        if (!is_overlays_own(xattr)) TRY(write_xattr(dir, name, xattr, value));
    }
    const timespec times[2] = {model.st_atim, model.st_mtim};
    if (utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
        return errno_error("setting the times of " + name);
    return {};
}

Result<void> sync_directory(int dir, const std::string& name) {
    const UniqueFd fd = TRY(open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (fsync(fd.get()) != 0) return errno_error("syncing " + name);
    return {};
}

/// The step of seal_upper that may have been done by an earlier call.
Result<void> hand_over(const Store& store, const std::string& upper_path, const std::string& layer_id) {
    const UniqueFd upper = TRY(open_at(store.uppers(), upper_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (syncfs(upper.get()) != 0) return errno_error("syncing " + upper_path);
    if (mkdirat(store.layers(), layer_id.c_str(), 0700) != 0 && errno != EEXIST) {
        return errno_error("making layers/" + layer_id);
    }
    const std::string tree = layer_id + "/fs";
    if (renameat2(store.uppers(), upper_path.c_str(), store.layers(), tree.c_str(), RENAME_NOREPLACE) == 0) return {};
    const Error failure = errno_error("renaming " + upper_path + " to layers/" + tree);
    (void)unlinkat(store.layers(), layer_id.c_str(), AT_REMOVEDIR);  // only an empty one goes
    return failure;
}

}  // namespace

Result<void> make_upper(const Store& store, const std::string& box_id, const std::string& topmost_layer) {
    TRY(require_id("box", box_id));
    const std::string operation = "making the upper of " + box_id;
    const UniqueFd layer = TRY_IN(operation, open_layer(store, topmost_layer));
    struct stat lower {};
    if (fstat(layer.get(), &lower) != 0) return errno_error(operation + ": looking at layer " + topmost_layer);
    const int uppers = store.uppers();
    // Undone by rmdir, innermost first: what was there before is not empty, so it stays.
    TRY_IN(operation, make_directory(uppers, box_id, 0700));
    Undo remove_box([&] { (void)unlinkat(uppers, box_id.c_str(), AT_REMOVEDIR); });
    const std::string work = box_id + "/work";
    TRY_IN(operation, make_directory(uppers, work, 0700));  // one is left over after seal_upper; overlayfs cleans it
    Undo remove_work([&] { (void)unlinkat(uppers, work.c_str(), AT_REMOVEDIR); });
    const std::string upper = box_id + "/upper";
    if (!TRY_IN(operation, make_directory(uppers, upper, lower.st_mode & 0777))) {
        remove_work.commit();
        return errno_error(operation + ": making " + upper, EEXIST);
    }
    Undo remove_upper([&] { (void)unlinkat(uppers, upper.c_str(), AT_REMOVEDIR); });
    TRY_IN(operation, take_after(uppers, upper, layer.get(), lower));
    remove_upper.commit();
    remove_work.commit();
    remove_box.commit();
    return {};
}

Result<void> ensure_upper(const Store& store, const std::string& box_id, const std::string& topmost_layer) {
    auto made = make_upper(store, box_id, topmost_layer);
    if (!made.ok() && made.error().code == EEXIST) return {};
    return made;
}

Result<void> seal_upper(const Store& store, const std::string& box_id, const std::string& layer_id) {
    TRY(require_id("box", box_id));
    const std::string operation = "sealing the upper of " + box_id;
    if (!TRY_IN(operation, has_layer(store, layer_id))) {
        TRY_IN(operation, hand_over(store, box_id + "/upper", layer_id));
    }
    // An overlay that is not quite gone yet may still hold it.
    TRY_IN(operation, move_to_trash(store.uppers(), box_id + "/work", store.trash()));
    TRY_IN(operation, sync_directory(store.layers(), layer_id));
    TRY_IN(operation, sync_directory(store.uppers(), box_id));
    if (fsync(store.layers()) != 0) return errno_error(operation + ": syncing layers");
    return {};
}

Result<UniqueFd> open_upper(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    return TRY(open_at(store.uppers(), box_id + "/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

Result<Import> copy_upper(const Store& store, const std::string& box_id, const std::stop_token& stop) {
    const std::string operation = "copying the upper of " + box_id;
    const UniqueFd upper = TRY_IN(operation, open_upper(store, box_id));
    Import import = TRY_IN(operation, begin_layer(store));
    TRY_IN(operation, copy_tree(upper.get(), import, stop));
    return import;
}

Result<uint64_t> upper_bytes(const Store& store, const std::string& box_id, const std::stop_token& stop) {
    const UniqueFd upper = TRY(open_upper(store, box_id));
    return TRY_IN("adding up the upper of " + box_id, tree_bytes(upper.get(), stop));
}

Result<void> sync_upper(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    const UniqueFd upper = TRY(open_at(store.uppers(), box_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (syncfs(upper.get()) != 0) return errno_error("syncing the upper of " + box_id);
    return {};
}

Result<void> discard_upper(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    TRY_IN("discarding the upper of " + box_id, move_to_trash(store.uppers(), box_id, store.trash()));
    return {};
}

}  // namespace hutch::overlayfs
