#include "overlayfs/layer.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "overlayfs/quota.h"
#include "overlayfs/subvolume.h"
#include "overlayfs/tree.h"

namespace hutch::overlayfs {

void Import::abandon() {
    root_.reset();
    if (!tmp_) return;
    (void)move_to_trash(tmp_.get(), id_, trash_.get());  // if it fails, recover() finds it in tmp/
    tmp_.reset();
}

Result<Import> begin_layer(const Store& store) {
    Import import;
    import.id_ = random_id();
    import.trash_ = TRY_IN("beginning a layer", duplicate(store.trash()));
    UniqueFd tmp = TRY_IN("beginning a layer", duplicate(store.tmp()));
    if (mkdirat(tmp.get(), import.id_.c_str(), 0700) != 0) return errno_error("making tmp/" + import.id_);
    import.tmp_ = std::move(tmp);  // from here on there is something to abandon
    const std::string tree = import.id_ + "/fs";
    if (mkdirat(store.tmp(), tree.c_str(), 0755) != 0) return errno_error("making tmp/" + tree);
    import.root_ = TRY_IN("beginning a layer", open_at(store.tmp(), tree, O_RDONLY | O_DIRECTORY));
    if (fchmod(import.root(), 0755) != 0) return errno_error("setting the mode of tmp/" + tree);  // whatever umask
    return import;
}

Result<Import> begin_layer_from(const Store& store, int upper) {
    Import import;
    import.id_ = random_id();
    import.trash_ = TRY_IN("beginning a layer", duplicate(store.trash()));
    UniqueFd tmp = TRY_IN("beginning a layer", duplicate(store.tmp()));
    TRY_IN("beginning a layer", snapshot_subvolume(upper, tmp.get(), import.id_));
    import.tmp_ = std::move(tmp);
    TRY_IN("beginning a layer", leave_quota(store.tmp(), import.id_));  // a snapshot takes the limit along
    TRY_IN("beginning a layer", remove_tree_at(store.tmp(), import.id_ + "/work"));
    import.root_ = TRY_IN("beginning a layer", open_at(store.tmp(), import.id_ + "/fs", O_RDONLY | O_DIRECTORY));
    return import;
}

Result<std::string> seal_layer(const Store& store, Import import) {
    if (import.root() < 0) return Error{ErrorKind::kConflict, 0, "sealing layer " + import.id() + ": abandoned"};
    // syncfs(2) reports write-back errors once per open file: this one is the import's own, older than its data.
    if (syncfs(import.root()) != 0) return errno_error("syncing layer " + import.id());
    const std::string id = TRY(place_layer(store, std::move(import)));
    if (fsync(store.layers()) == 0) return id;
    const Error failure = errno_error("making layer " + id + " durable");
    (void)move_to_trash(store.layers(), id, store.trash());
    return failure;
}

Result<std::string> place_layer(const Store& store, Import import) {
    if (import.root() < 0) return Error{ErrorKind::kConflict, 0, "sealing layer " + import.id() + ": abandoned"};
    if (renameat2(store.tmp(), import.id_.c_str(), store.layers(), import.id_.c_str(), RENAME_NOREPLACE) != 0) {
        return errno_error("sealing layer " + import.id());
    }
    import.tmp_.reset();  // nothing to abandon any more
    return import.id_;
}

Result<void> write_out(const Store& store, const UniqueFd& since) {
    if (syncfs(since.get()) != 0) return errno_error("syncing layers");
    if (fsync(store.layers()) != 0) return errno_error("making layers durable");
    return {};
}

Result<bool> has_layer(const Store& store, const std::string& id) {
    TRY(require_id("layer", id));
    struct stat status {};
    if (fstatat(store.layers(), (id + "/fs").c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (errno == ENOENT) return false;
    return errno_error("looking at layer " + id);
}

Result<UniqueFd> open_layer(const Store& store, const std::string& id) {
    TRY(require_id("layer", id));
    return TRY_IN("layer " + id, open_at(store.layers(), id + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

Result<std::vector<UniqueFd>> open_layers(const Store& store, const std::vector<std::string>& ids) {
    std::vector<UniqueFd> layers;
    for (const std::string& id : ids) layers.push_back(TRY(open_layer(store, id)));
    return layers;
}

Result<void> discard_layer(const Store& store, const std::string& id) {
    TRY(require_id("layer", id));
    TRY_IN("discarding layer " + id, move_to_trash(store.layers(), id, store.trash()));
    return {};
}

Result<void> leave_quota(int dir, const std::string& name) {
    const UniqueFd counted = TRY(open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    TRY(set_limit(counted.get(), {}));
    return {};
}

Result<uint64_t> layer_bytes(const Store& store, const std::string& id, const std::stop_token& stop) {
    TRY(require_id("layer", id));
    const UniqueFd whole = TRY_IN("layer " + id, open_at(store.layers(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (const auto counted = TRY(counted_use(whole.get()))) return counted->bytes;
    const UniqueFd tree = TRY(open_layer(store, id));
    return TRY_IN("adding up layer " + id, tree_bytes(tree.get(), stop));
}

}  // namespace hutch::overlayfs
