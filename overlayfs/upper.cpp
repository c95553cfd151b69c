#include "overlayfs/upper.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/undo.h"
#include "overlayfs/inode_ranges.h"
#include "overlayfs/marks.h"
#include "overlayfs/subvolume.h"
#include "overlayfs/tree.h"
#include "overlayfs/tree_copy.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

/// umask may narrow what is made.
Result<void> make_directory(int dir, const std::string& name, mode_t mode) {
    if (mkdirat(dir, name.c_str(), mode) == 0) return {};
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
Result<void> hand_over(const Store& store, const std::string& box_id, const std::string& layer_id) {
    const UniqueFd upper = TRY(open_upper(store, box_id));
    if (syncfs(upper.get()) != 0) return errno_error("syncing it");
    if (renameat2(store.uppers(), box_id.c_str(), store.layers(), layer_id.c_str(), RENAME_NOREPLACE) != 0) {
        return errno_error("renaming it to layers/" + layer_id);
    }
    return {};
}

/// The directory that is counted as one box's; one that is there already is fine.
Result<void> make_counted(const Store& store, const std::string& box_id, const std::vector<std::string>& layers,
                          Spares* spares) {
    if (spares != nullptr && spares->take(box_id, layers)) return {};
    auto made = has_templates(store.root()) ? make_from_template(store, box_id, layers)
                                            : make_directory(store.uppers(), box_id, 0700);
    if (!made.ok() && made.error().code == EEXIST) return {};
    return made;
}

Result<UniqueFd> open_box(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    return open_at(store.uppers(), box_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

Result<void> make_upper(const Store& store, const std::string& box_id, const std::vector<std::string>& layers,
                        Spares* spares) {
    TRY(require_id("box", box_id));
    const std::string operation = "making the upper of " + box_id;
    if (layers.empty()) return invalid(operation + ": no layers");
    const UniqueFd layer = TRY_IN(operation, open_layer(store, layers.front()));
    struct stat lower {};
    if (fstat(layer.get(), &lower) != 0) return errno_error(operation + ": looking at layer " + layers.front());
    const int uppers = store.uppers();
    const std::string work = box_id + "/work";
    const std::string upper = box_id + "/fs";
    if (faccessat(uppers, upper.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return errno_error(operation + ": making " + upper, EEXIST);
    }
    // Undone by rmdir, innermost first: what was there before is not empty, so it stays.
    TRY_IN(operation, make_counted(store, box_id, layers, spares));
    Undo remove_box([&] { (void)unlinkat(uppers, box_id.c_str(), AT_REMOVEDIR); });
    const UniqueFd box = TRY_IN(operation, open_box(store, box_id));
    TRY_IN(operation, begin_count(box.get()));
    auto worked = make_directory(uppers, work, 0700);
    if (!worked.ok() && worked.error().code != EEXIST) return std::move(worked).error().in(operation);
    Undo remove_work([&] { (void)unlinkat(uppers, work.c_str(), AT_REMOVEDIR); });
    TRY_IN(operation, make_directory(uppers, upper, lower.st_mode & 0777));
    Undo remove_upper([&] { (void)unlinkat(uppers, upper.c_str(), AT_REMOVEDIR); });
    TRY_IN(operation, take_after(uppers, upper, layer.get(), lower));
    remove_upper.commit();
    remove_work.commit();
    remove_box.commit();
    return {};
}

Result<void> ensure_upper(const Store& store, const std::string& box_id, const std::vector<std::string>& layers) {
    auto made = make_upper(store, box_id, layers);
    if (!made.ok() && made.error().code == EEXIST) return {};
    return made;
}

Result<void> seal_upper(const Store& store, const std::string& box_id, const std::string& layer_id) {
    TRY(require_id("box", box_id));
    const std::string operation = "sealing the upper of " + box_id;
    if (!TRY_IN(operation, has_layer(store, layer_id))) TRY_IN(operation, hand_over(store, box_id, layer_id));
    TRY_IN(operation, remove_tree_at(store.layers(), layer_id + "/work"));  // overlayfs' own, next to nothing
    TRY_IN(operation, leave_quota(store.layers(), layer_id));
    TRY_IN(operation, sync_directory(store.layers(), layer_id));
    if (fsync(store.uppers()) != 0) return errno_error(operation + ": syncing uppers");
    if (fsync(store.layers()) != 0) return errno_error(operation + ": syncing layers");
    return {};
}

Quota quota_of_uppers(int store_root) {
    const Quota quota = quota_of(store_root);
    return quota == Quota::kQgroup && !has_templates(store_root) ? Quota::kNone : quota;
}

Result<bool> limit_upper(const Store& store, const std::string& box_id, const DiskLimit& limit) {
    const std::string operation = "limiting the upper of " + box_id;
    const UniqueFd box = TRY_IN(operation, open_box(store, box_id));
    return TRY_IN(operation, set_limit(box.get(), limit));
}

Result<UniqueFd> open_upper(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    return TRY(open_at(store.uppers(), box_id + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

Result<Import> copy_upper(const Store& store, const std::string& box_id, const std::stop_token& stop) {
    const std::string operation = "copying the upper of " + box_id;
    const UniqueFd box = TRY_IN(operation, open_box(store, box_id));
    if (is_subvolume(box.get())) return TRY_IN(operation, begin_layer_from(store, box.get()));
    const UniqueFd upper = TRY_IN(operation, open_upper(store, box_id));
    Import import = TRY_IN(operation, begin_layer(store));
    TRY_IN(operation, copy_tree(upper.get(), import, stop));
    return import;
}

Result<uint64_t> upper_bytes(const Store& store, const std::string& box_id, const std::stop_token& stop) {
    const UniqueFd box = TRY(open_box(store, box_id));
    if (const auto counted = TRY(counted_use(box.get()))) return counted->bytes;
    const UniqueFd upper = TRY(open_upper(store, box_id));
    return TRY_IN("adding up the upper of " + box_id, tree_bytes(upper.get(), stop));
}

Result<void> sync_upper(const Store& store, const std::string& box_id) {
    const UniqueFd upper = TRY(open_box(store, box_id));
    if (syncfs(upper.get()) != 0) return errno_error("syncing the upper of " + box_id);
    return {};
}

Result<void> discard_upper(const Store& store, const std::string& box_id) {
    TRY(require_id("box", box_id));
    TRY_IN("discarding the upper of " + box_id, move_to_trash(store.uppers(), box_id, store.trash()));
    return {};
}

}  // namespace hutch::overlayfs
