#include "overlayfs/diff.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/directory.h"
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

// Of what is listed and not yet looked at: about 800,000 names of a usual length.
constexpr size_t kMostNames = size_t{128} << 20;

/// One file, in the directory of one layer.
struct File {
    int dir;
    const std::string& name;
    const struct stat& status;
};

Result<UniqueFd> open_file(const File& file) {
    // O_NONBLOCK: it may be a FIFO by now.
    auto opened = open_at(file.dir, file.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
    const int code = opened.ok() ? 0 : opened.error().code;
    if (code == ELOOP || code == ENXIO)
        return errno_error("opening " + file.name, ENOENT);  // a link, a whiteout by now
    UniqueFd fd = TRY(std::move(opened));
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

/// One of the two trees that are compared.
struct Side {
    MergedTree tree;
    size_t own;  ///< how many of its roots the other does not have; the others are the same, in the same order

    /// Which of the common roots make up the directory where it is.
    [[nodiscard]] std::vector<size_t> common() const {
        std::vector<size_t> common;
        for (const size_t layer : tree.layers()) {
            if (layer >= own) common.push_back(layer - own);
        }
        return common;
    }
};

class Diff {
  public:
    Diff(Side now, Side before, const std::stop_token& stop, const ChangeSink& sink, Telling telling)
        : now_(std::move(now)), before_(std::move(before)), stop_(stop), sink_(sink), telling_(telling) {}
    Result<void> run();

  private:
    using Found = MergedTree::Found;
    struct Level {
        std::vector<std::string> todo;  // the last one first
        bool existed;                   // before_ is at this directory too
        size_t bytes = 0;               // that `todo` began with
    };
    Result<void> root();
    Result<void> enter(bool existed);
    Result<std::vector<std::string>> list(const MergedTree& tree, size_t count);
    Result<void> leave();
    Result<void> visit(const std::string& name);
    Result<void> tell_deleted_first();
    Result<void> down(const std::string& name, bool existed);
    [[nodiscard]] bool same(const Found& now, const Found& before) const;
    Result<void> tell(Kind kind, const std::string& name, const struct stat& status, int dir);

    Side now_;
    Side before_;
    const std::stop_token& stop_;
    const ChangeSink& sink_;
    const Telling telling_;
    std::vector<Level> levels_;
    size_t bytes_ = 0;  // of names, in all levels
};

Result<void> Diff::tell(Kind kind, const std::string& name, const struct stat& status, int dir) {
    std::string path = now_.tree.path();
    if (!path.empty() && !name.empty()) path += '/';
    const bool sized = S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
    return sink_({.kind = kind,
                  .path = path + name,
                  .type = status.st_mode & S_IFMT,
                  .size = sized ? static_cast<uint64_t>(status.st_size) : 0,
                  .dir = dir,
                  .name = name.empty() ? "." : name});
}

/// Whether both are one file of a common layer, or a directory in which only those have something.
bool Diff::same(const Found& now, const Found& before) const {
    return now.layer >= now_.own && before.layer >= before_.own && now.layer - now_.own == before.layer - before_.own;
}

/// Lists what is to be looked at where now_ is: what layers have that are not common, and all, where these hide from
/// one side what the other shows.
Result<void> Diff::enter(bool existed) {
    const bool all = !existed || now_.common() != before_.common();
    Level level{TRY(list(now_.tree, all ? SIZE_MAX : now_.own)), existed};
    if (existed) {
        for (std::string& name : TRY(list(before_.tree, all ? SIZE_MAX : before_.own))) {
            level.todo.push_back(std::move(name));
        }
        std::sort(level.todo.begin(), level.todo.end());
        level.todo.erase(std::unique(level.todo.begin(), level.todo.end()), level.todo.end());
    }
    std::reverse(level.todo.begin(), level.todo.end());
    size_t length = 0;
    for (const std::string& name : level.todo) length += name.size();
    level.bytes = names_bytes(level.todo.size(), length);
    bytes_ += level.bytes;
    levels_.push_back(std::move(level));
    if (existed && telling_ == Telling::kArchive) return tell_deleted_first();
    return {};
}

/// Programs that unpack take a whiteout for what came before it too, if it comes late (image-spec, layer.md).
Result<void> Diff::tell_deleted_first() {
    auto& todo = levels_.back().todo;
    std::vector<std::string> others;
    for (auto name = todo.rbegin(); name != todo.rend(); ++name) {
        if (stop_.stop_requested()) return errno_error("comparing", ECANCELED);
        const auto before = TRY(before_.tree.visible(*name));
        if (before && !TRY(now_.tree.visible(*name))) {
            TRY(tell(Kind::kDeleted, *name, before->status, -1));
        } else {
            others.push_back(std::move(*name));
        }
    }
    std::reverse(others.begin(), others.end());
    todo = std::move(others);
    return {};
}

Result<std::vector<std::string>> Diff::list(const MergedTree& tree, size_t count) {
    auto names = tree.names(count, kMostNames - std::min(kMostNames, bytes_));
    if (names.ok() || names.error().code != EFBIG) return names;
    return Error{ErrorKind::kTooLarge, 0, "directories in each other that hold more names than are compared"};
}

Result<void> Diff::leave() {
    const bool existed = levels_.back().existed;
    bytes_ -= levels_.back().bytes;
    levels_.pop_back();
    if (levels_.empty()) return {};
    TRY(now_.tree.up());
    if (existed) TRY(before_.tree.up());
    return {};
}

Result<void> Diff::down(const std::string& name, bool existed) {
    if (!TRY(now_.tree.down(name))) return {};
    return enter(existed && TRY(before_.tree.down(name)));
}

Result<void> Diff::visit(const std::string& name) {
    const bool existed = levels_.back().existed;
    const auto now = TRY(now_.tree.visible(name));
    const auto before = existed ? TRY(before_.tree.visible(name)) : std::nullopt;
    if (!now && !before) return {};
    if (!now) return tell(Kind::kDeleted, name, before->status, -1);
    if (before && same(*now, *before)) return {};
    const int dir = now_.tree.dir(now->layer);
    if (!before) {
        TRY(tell(Kind::kAdded, name, now->status, dir));
    } else {
        auto change =
            change_of({dir, name, now->status}, {before_.tree.dir(before->layer), name, before->status}, stop_);
        if (!change.ok() && change.error().code == ENOENT) return {};  // vanished
        if (const auto kind = TRY(std::move(change))) {
            TRY(tell(*kind, name, now->status, dir));
        } else if (S_ISDIR(now->status.st_mode) && telling_ == Telling::kArchive) {
            TRY(tell(Kind::kEntered, name, now->status, dir));
        }
    }
    if (!S_ISDIR(now->status.st_mode)) return {};
    return down(name, before && S_ISDIR(before->status.st_mode));
}

Result<void> Diff::root() {
    const int to = now_.tree.dir(0);
    const int from = before_.tree.dir(0);
    struct stat now {};
    struct stat before {};
    if (fstat(to, &now) != 0 || fstat(from, &before) != 0) return errno_error("looking at the root");
    if (const auto kind = TRY(change_of({to, ".", now}, {from, ".", before}, stop_))) {
        TRY(tell(*kind, "", now, to));
    }
    return enter(true);
}

/// For messages: a path may be a hundred thousand bytes long.
std::string in_short(const std::string& path) {
    constexpr size_t kMost = 200;
    return path.size() <= kMost ? path : path.substr(0, kMost) + "...";
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
        TRY_IN("in /" + in_short(now_.tree.path()), visit(name));
    }
    return {};
}

size_t common_layers(const std::vector<std::string>& one, const std::vector<std::string>& other) {
    const auto differ = std::mismatch(one.rbegin(), one.rend(), other.rbegin(), other.rend());
    return static_cast<size_t>(differ.first - one.rbegin());
}

}  // namespace

Result<OpenStacks> open_stacks(const Store& store, const Stack& now, const std::vector<std::string>& before) {
    if (before.empty()) return invalid("a diff needs layers to compare with");
    const std::string operation = "comparing with layer " + before.front();
    OpenStacks stacks;
    stacks.now = TRY_IN(operation, open_layers(store, now.layers));
    if (now.box) stacks.now.insert(stacks.now.begin(), TRY_IN(operation, open_upper(store, *now.box)));
    if (stacks.now.empty()) return invalid("a diff needs layers to compare");
    stacks.before = TRY_IN(operation, open_layers(store, before));
    stacks.common = common_layers(now.layers, before);
    return stacks;
}

Result<void> diff(const OpenStacks& stacks, const std::stop_token& stop, const ChangeSink& sink, Telling telling) {
    const std::string operation = "comparing files";
    Side now{TRY_IN(operation, MergedTree::begin(stacks.now)), stacks.now.size() - stacks.common};
    Side before{TRY_IN(operation, MergedTree::begin(stacks.before)), stacks.before.size() - stacks.common};
    TRY_IN(operation, Diff(std::move(now), std::move(before), stop, sink, telling).run());
    return {};
}

}  // namespace hutch::overlayfs
