#include "overlayfs/diff.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/file.h"
#include "overlayfs/content.h"
#include "overlayfs/layer.h"
#include "overlayfs/marks.h"
#include "overlayfs/merged_tree.h"
#include "overlayfs/upper.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

using Kind = Change::Kind;

/// One file, in the directory of one layer.
struct File {
    int dir;
    const std::string& name;
    const struct stat& status;
};

Result<UniqueFd> open_file(const File& file) {
    // O_NONBLOCK: it may be a FIFO by now.
    UniqueFd fd = TRY(open_at(file.dir, file.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME));
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return errno_error("looking at " + file.name);
    if (!S_ISREG(status.st_mode)) return errno_error("opening " + file.name, ENOENT);  // another file than was seen
    return fd;
}

Result<std::string> target_of(const File& link) {
    std::string target(PATH_MAX, '\0');
    const ssize_t size = readlinkat(link.dir, link.name.c_str(), target.data(), target.size());
    if (size < 0) return errno_error("reading the link " + link.name, errno == EINVAL ? ENOENT : errno);
    target.resize(static_cast<size_t>(size));
    return target;
}

Result<bool> holds_the_same(const File& now, const File& before, const std::stop_token& stop) {
    if ((now.status.st_mode & S_IFMT) != (before.status.st_mode & S_IFMT)) return false;
    if (S_ISREG(now.status.st_mode)) {
        if (now.status.st_size != before.status.st_size) return false;
        const UniqueFd left = TRY(open_file(now));
        const UniqueFd right = TRY(open_file(before));
        return same_content(left.get(), right.get(), now.status.st_size, stop);
    }
    if (S_ISLNK(now.status.st_mode)) return TRY(target_of(now)) == TRY(target_of(before));
    return now.status.st_rdev == before.status.st_rdev;  // 0 of what is no device
}

Result<Xattrs> seen_xattrs(const File& file) {
    Xattrs xattrs = TRY(read_xattrs(file.dir, file.name));
    std::erase_if(xattrs, [](const auto& xattr) { return is_overlays_own(xattr.first); });
    return xattrs;
}

using MaybeKind = std::optional<Kind>;

Result<MaybeKind> change_of(const File& now, const File& before, const std::stop_token& stop) {
    if (!TRY(holds_the_same(now, before, stop))) return MaybeKind(Kind::kModified);
    const struct stat& a = now.status;
    const struct stat& b = before.status;
    if (a.st_mode != b.st_mode || a.st_uid != b.st_uid || a.st_gid != b.st_gid) return MaybeKind(Kind::kMetadata);
    if (TRY(seen_xattrs(now)) != TRY(seen_xattrs(before))) return MaybeKind(Kind::kMetadata);
    return MaybeKind();
}

class Diff {
  public:
    Diff(MergedTree now, MergedTree before, size_t tops, const std::stop_token& stop, const ChangeSink& sink)
        : now_(std::move(now)), before_(std::move(before)), tops_(tops), stop_(stop), sink_(sink) {}
    Result<void> run();

  private:
    using Found = MergedTree::Found;
    struct Level {
        std::vector<std::string> todo;  // the last one first
        bool existed;                   // before_ is at this directory too
    };
    Result<void> root();
    Result<void> enter(bool existed);
    Result<void> leave();
    Result<void> visit(const std::string& name);
    Result<void> down(const std::string& name, bool existed);
    Result<void> tell(Kind kind, const std::string& name, const struct stat& status);

    MergedTree now_;     // the tops on the base: of its layers the first tops_ are tops
    MergedTree before_;  // the base alone
    const size_t tops_;
    const std::stop_token& stop_;
    const ChangeSink& sink_;
    std::vector<Level> levels_;
};

Result<void> Diff::tell(Kind kind, const std::string& name, const struct stat& status) {
    std::string path = now_.path();
    if (!path.empty() && !name.empty()) path += '/';
    const bool sized = S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
    return sink_({kind, path + name, status.st_mode & S_IFMT, sized ? static_cast<uint64_t>(status.st_size) : 0});
}

/// Lists what is to be looked at where now_ is: what the tops have; and what they hide, which only before_ knows.
Result<void> Diff::enter(bool existed) {
    Level level{TRY(now_.names(tops_)), existed};
    const auto& layers = now_.layers();
    const auto of_base = std::count_if(layers.begin(), layers.end(), [&](size_t layer) { return layer >= tops_; });
    if (existed && static_cast<size_t>(of_base) < before_.layers().size()) {
        for (std::string& name : TRY(before_.names())) level.todo.push_back(std::move(name));
        std::sort(level.todo.begin(), level.todo.end());
        level.todo.erase(std::unique(level.todo.begin(), level.todo.end()), level.todo.end());
    }
    std::reverse(level.todo.begin(), level.todo.end());
    levels_.push_back(std::move(level));
    return {};
}

Result<void> Diff::leave() {
    const bool existed = levels_.back().existed;
    levels_.pop_back();
    if (levels_.empty()) return {};
    TRY(now_.up());
    if (existed) TRY(before_.up());
    return {};
}

Result<void> Diff::down(const std::string& name, bool existed) {
    if (!TRY(now_.down(name))) return {};
    return enter(existed && TRY(before_.down(name)));
}

Result<void> Diff::visit(const std::string& name) {
    const bool existed = levels_.back().existed;
    const auto now = TRY(now_.visible(name));
    const auto before = existed ? TRY(before_.visible(name)) : std::nullopt;
    if (!now && !before) return {};
    if (!now) return tell(Kind::kDeleted, name, before->status);
    if (before && now->layer >= tops_) return {};  // the same one
    if (!before) {
        TRY(tell(Kind::kAdded, name, now->status));
    } else {
        auto change = change_of({now_.dir(now->layer), name, now->status},
                                {before_.dir(before->layer), name, before->status}, stop_);
        if (!change.ok() && change.error().code == ENOENT) return {};  // vanished
        if (const auto kind = TRY(std::move(change))) TRY(tell(*kind, name, now->status));
    }
    if (!S_ISDIR(now->status.st_mode)) return {};
    return down(name, before && S_ISDIR(before->status.st_mode));
}

Result<void> Diff::root() {
    struct stat now {};
    struct stat before {};
    if (fstat(now_.dir(0), &now) != 0 || fstat(before_.dir(0), &before) != 0) return errno_error("looking at the root");
    if (const auto kind = TRY(change_of({now_.dir(0), ".", now}, {before_.dir(0), ".", before}, stop_))) {
        TRY(tell(*kind, "", now));
    }
    return enter(true);
}

Result<void> Diff::run() {
    TRY(root());
    while (!levels_.empty()) {
        if (stop_.stop_requested()) return errno_error("comparing", ECANCELED);
        auto& todo = levels_.back().todo;
        if (todo.empty()) {
            TRY(leave());
            continue;
        }
        const std::string name = std::move(todo.back());
        todo.pop_back();
        TRY_IN("in /" + now_.path(), visit(name));
    }
    return {};
}

}  // namespace

Result<void> diff(const Store& store, const Stack& tops, const std::vector<std::string>& base,
                  const std::stop_token& stop, const ChangeSink& sink) {
    const std::string operation = "comparing with layer " + (base.empty() ? "none" : base.front());
    std::vector<UniqueFd> layers = TRY_IN(operation, open_layers(store, tops.layers));
    if (tops.box) layers.insert(layers.begin(), TRY_IN(operation, open_upper(store, *tops.box)));
    const size_t count = layers.size();
    for (UniqueFd& layer : TRY_IN(operation, open_layers(store, base))) layers.push_back(std::move(layer));
    if (count == 0 || count == layers.size()) return invalid("a diff needs layers above and below");
    MergedTree now = TRY_IN(operation, MergedTree::begin(layers));
    MergedTree before = TRY_IN(operation, MergedTree::begin(std::span(layers).subspan(count)));
    TRY_IN(operation, Diff(std::move(now), std::move(before), count, stop, sink).run());
    return {};
}

}  // namespace hutch::overlayfs
