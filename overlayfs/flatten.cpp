#include "overlayfs/flatten.h"

#include <sys/stat.h>

#include <utility>

#include "overlayfs/copier.h"
#include "overlayfs/descent.h"
#include "overlayfs/marks.h"
#include "overlayfs/merged_tree.h"

namespace hutch::overlayfs {

namespace {

class Flattening {
  public:
    Flattening(MergedTree from, MergedTree below, TreeCursor to, const Import& import, const std::stop_token& stop)
        : from_(std::move(from)),
          below_(std::move(below)),
          to_(std::move(to)),
          copier_(import, Copier::Attributes::kNotOverlays, stop) {}
    Result<void> run();

  private:
    struct Level {
        std::vector<std::string> directories;  // not yet copied
        bool over;                             // below_ is at this directory too, and shows through
    };
    Result<void> enter(bool over);
    Result<void> copy(const std::string& name, Level& level);
    Result<void> down(const std::string& name);
    Result<void> leave();

    MergedTree from_, below_;
    TreeCursor to_;
    Copier copier_;
    std::vector<Level> levels_;
};

/// Copies what is in the directory but for directories.
Result<void> Flattening::enter(bool over) {
    Level level{{}, over};
    for (const std::string& name : TRY(from_.names())) TRY(copy(name, level));
    levels_.push_back(std::move(level));
    return {};
}

Result<void> Flattening::copy(const std::string& name, Level& level) {
    const auto found = TRY(from_.topmost(name));
    if (!found) return errno_error("looking at " + name, ENOENT);
    if (S_ISDIR(found->status.st_mode)) {
        level.directories.push_back(name);
        return {};
    }
    if (is_whiteout(found->status) && !(level.over && TRY(below_.visible(name)))) return {};  // hides nothing
    return copier_.copy(from_.dir(found->layer), name, found->status, to_.dir());
}

Result<void> Flattening::down(const std::string& name) {
    if (mkdirat(to_.dir(), name.c_str(), 0700) != 0) return errno_error("making " + name);
    if (!TRY(from_.down(name)) || !TRY(to_.down(name))) return errno_error("looking at " + name, ENOENT);
    const auto under = levels_.back().over ? TRY(below_.visible(name)) : std::nullopt;
    if (!under || !S_ISDIR(under->status.st_mode)) return enter(false);
    if (!from_.closed()) return enter(TRY(below_.down(name)));
    TRY(set_opaque(to_.dir()));
    return enter(false);
}

Result<void> Flattening::leave() {
    const int topmost = from_.dir(from_.layers().front());
    struct stat status {};
    if (fstat(topmost, &status) != 0) return errno_error("looking at a directory");
    TRY(copier_.copy_attributes(topmost, status, to_.dir()));
    const bool over = levels_.back().over;
    levels_.pop_back();
    if (levels_.empty()) return {};
    TRY(from_.up());
    TRY(to_.up());
    if (over) TRY(below_.up());
    return {};
}

Result<void> Flattening::run() {
    const auto here = [&] { return "in /" + from_.path(); };
    TRY_IN(here(), enter(true));
    TRY(descend(
        levels_, here, [this](const std::string& name) { return down(name); }, [this] { return leave(); }));
    return copier_.finish();
}

Result<void> fill(const Import& import, const std::vector<UniqueFd>& layers, const std::vector<UniqueFd>& below,
                  const std::stop_token& stop) {
    MergedTree from = TRY(MergedTree::begin(layers));
    MergedTree under = TRY(MergedTree::begin(below));
    TreeCursor to = TRY(TreeCursor::begin(import.root()));
    return Flattening(std::move(from), std::move(under), std::move(to), import, stop).run();
}

}  // namespace

Result<Import> flatten(const Store& store, const std::vector<std::string>& layers,
                       const std::vector<std::string>& below, const std::stop_token& stop) {
    if (layers.empty()) return invalid("flattening: no layers");
    const std::string operation = "flattening " + std::to_string(layers.size()) + " layers from " + layers.front();
    const std::vector<UniqueFd> tops = TRY_IN(operation, open_layers(store, layers));
    const std::vector<UniqueFd> rest = TRY_IN(operation, open_layers(store, below));
    Import import = TRY_IN(operation, begin_layer(store));
    TRY_IN(operation, fill(import, tops, rest, stop));
    return import;
}

}  // namespace hutch::overlayfs
