#include "overlayfs/tree_copy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "overlayfs/copier.h"
#include "overlayfs/descent.h"
#include "overlayfs/tree_cursor.h"

namespace hutch::overlayfs {

namespace {

class TreeCopy {
  public:
    TreeCopy(TreeCursor from, TreeCursor to, const Import& import, const std::stop_token& stop)
        : from_(std::move(from)), to_(std::move(to)), copier_(import, Copier::Attributes::kAll, stop) {}
    Result<void> run();

  private:
    struct Level {
        struct stat status;                    // of the original, before it was read
        std::vector<std::string> directories;  // in it, not yet copied
    };
    Result<void> enter();
    Result<void> down(const std::string& name);
    Result<void> leave();

    TreeCursor from_, to_;
    Copier copier_;
    std::vector<Level> levels_;
};

Error changed() {
    return {ErrorKind::kConflict, 0, "it was changed while it was copied"};
}

/// Copies what is in the directory but for directories.
Result<void> TreeCopy::enter() {
    Level level{};
    if (fstat(from_.dir(), &level.status) != 0) return errno_error("looking at a directory");
    for (std::string& name : TRY(names_in(from_.dir()))) {
        struct stat status {};
        if (fstatat(from_.dir(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("looking at " + name);
        }
        if (S_ISDIR(status.st_mode)) {
            level.directories.push_back(std::move(name));
        } else {
            TRY(copier_.copy(from_.dir(), name, status, to_.dir()));
        }
    }
    levels_.push_back(std::move(level));
    return {};
}

Result<void> TreeCopy::down(const std::string& name) {
    if (mkdirat(to_.dir(), name.c_str(), 0700) != 0) return errno_error("making " + name);
    if (!TRY(from_.down(name)) || !TRY(to_.down(name))) return changed();
    return enter();
}

Result<void> TreeCopy::leave() {
    TRY(copier_.copy_attributes(from_.dir(), levels_.back().status, to_.dir()));
    levels_.pop_back();
    if (levels_.empty()) return {};
    TRY(from_.up());
    TRY(to_.up());
    if (from_.dir() < 0 || to_.dir() < 0) return changed();
    return {};
}

Result<void> TreeCopy::run() {
    const auto here = [&] { return "copying /" + from_.path(); };
    TRY_IN(here(), enter());
    TRY(descend(
        levels_, here, [this](const std::string& name) { return down(name); }, [this] { return leave(); }));
    return copier_.finish();
}

}  // namespace

Result<void> copy_tree(int from, Import& to, const std::stop_token& stop) {
    if (to.root() < 0) return Error{ErrorKind::kConflict, 0, "copying into " + to.id() + ": abandoned"};
    TreeCursor source = TRY(TreeCursor::begin(from));
    TreeCursor target = TRY(TreeCursor::begin(to.root()));
    auto copied = TreeCopy(std::move(source), std::move(target), to, stop).run();
    if (copied.ok()) return copied;
    to.abandon();
    return std::move(copied).error().in("copying into layer " + to.id());
}

}  // namespace hutch::overlayfs
