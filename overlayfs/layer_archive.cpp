#include "overlayfs/layer_archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <span>
#include <utility>

#include "overlayfs/descent.h"
#include "overlayfs/marks.h"
#include "overlayfs/merged_tree.h"

namespace hutch::overlayfs {

namespace {

constexpr size_t kMostNamesOfOne = size_t{128} << 20;  // bytes of memory for the names of one directory

class LayerWalk {
  public:
    LayerWalk(MergedTree layer, MergedTree below, LayerTar tar, const std::stop_token& stop,
              const std::function<bool(const std::string&)>& leave_out)
        : layer_(std::move(layer)),
          below_(std::move(below)),
          tar_(std::move(tar)),
          stop_(stop),
          leave_out_(leave_out) {}
    Result<void> run();

  private:
    struct Level {
        std::vector<std::string> directories;  // not yet written, the last one first
        bool over;                             // below_ is at this directory too
        bool alone;                            // nothing of that shows: this directory is opaque, or one above it
    };
    [[nodiscard]] int dir() const { return layer_.dir(0); }
    [[nodiscard]] std::string path_of_entry(const std::string& name) const;
    Result<void> enter(bool over, bool alone);
    Result<void> add_whiteouts(const std::vector<std::string>& names, bool alone);
    Result<void> down(const std::string& name);
    Result<void> leave();

    MergedTree layer_, below_;  // the first of one root
    LayerTar tar_;
    const std::stop_token& stop_;
    const std::function<bool(const std::string&)>& leave_out_;
    std::vector<Level> levels_;
};

std::string LayerWalk::path_of_entry(const std::string& name) const {
    const std::string path = layer_.path();
    return path.empty() ? name : path + '/' + name;
}

/// What the directory hides of those below: by a whiteout each, or, where it stands alone, by having no such name.
Result<void> LayerWalk::add_whiteouts(const std::vector<std::string>& names, bool alone) {
    const auto hidden = alone ? TRY(below_.names(SIZE_MAX, kMostNamesOfOne)) : names;
    for (const std::string& name : hidden) {
        const auto here = TRY(layer_.topmost(name));
        if (here && !is_whiteout(here->status)) continue;
        if (TRY(below_.visible(name))) TRY(tar_.add_whiteout(path_of_entry(name)));
    }
    return {};
}

/// Writes what is in the directory but for directories.
Result<void> LayerWalk::enter(bool over, bool alone) {
    if (stop_.stop_requested()) return errno_error("writing an archive", ECANCELED);
    Level level{{}, over, alone || TRY(is_opaque(dir()))};
    const auto names = TRY(layer_.names(SIZE_MAX, kMostNamesOfOne));
    if (over) TRY(add_whiteouts(names, level.alone));
    for (const std::string& name : names) {
        const auto found = TRY(layer_.topmost(name));
        if (!found || is_whiteout(found->status)) continue;
        if (S_ISDIR(found->status.st_mode)) {
            level.directories.push_back(name);
        } else if (const std::string path = path_of_entry(name); !leave_out_(path)) {
            TRY(tar_.add(path, dir(), name, found->status.st_mode & S_IFMT));
        }
    }
    std::reverse(level.directories.begin(), level.directories.end());
    levels_.push_back(std::move(level));
    return {};
}

Result<void> LayerWalk::down(const std::string& name) {
    TRY(tar_.add(path_of_entry(name), dir(), name, S_IFDIR));
    if (!TRY(layer_.down(name))) return errno_error("looking at " + name, ENOENT);
    const bool alone = levels_.back().alone;
    return enter(levels_.back().over && TRY(below_.down(name)), alone);
}

Result<void> LayerWalk::leave() {
    const bool over = levels_.back().over;
    levels_.pop_back();
    if (levels_.empty()) return {};
    TRY(layer_.up());
    if (over) TRY(below_.up());
    return {};
}

Result<void> LayerWalk::run() {
    TRY(tar_.add("", dir(), ".", S_IFDIR));
    TRY(enter(true, false));
    TRY(descend(
        levels_, [this] { return "in /" + layer_.path().substr(0, 200); },
        [this](const std::string& name) { return down(name); }, [this] { return leave(); }));
    return tar_.finish();
}

}  // namespace

Result<void> archive_layer(const std::vector<UniqueFd>& stack, const std::stop_token& stop, ByteSink sink,
                           const std::function<bool(const std::string& path)>& leave_out) {
    if (stack.empty()) return invalid("an archive of a layer needs the layer");
    const std::span<const UniqueFd> all(stack);
    MergedTree layer = TRY(MergedTree::begin(all.first(1)));
    MergedTree below = TRY(MergedTree::begin(all.subspan(1)));
    LayerTar tar = TRY(LayerTar::open(std::move(sink), stop));
    return LayerWalk(std::move(layer), std::move(below), std::move(tar), stop, leave_out).run();
}

}  // namespace hutch::overlayfs
