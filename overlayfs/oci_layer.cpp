#include "overlayfs/oci_layer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "archives/oci_layer.h"
#include "base/file.h"
#include "overlayfs/copier.h"
#include "overlayfs/marks.h"
#include "overlayfs/merged_path.h"

namespace hutch::overlayfs {

using archives::OciMarks;
using archives::TreeWalk;
using archives::TreeWriter;

struct OciLayer::State {
    explicit State(Import its_import) : import(std::move(its_import)) {}

    Import import;
    std::optional<TreeWriter> tree{};
    OciMarks marks{};
};

namespace {

/// What the layer itself has at a path.
enum class Own { kNothing, kDirectory, kOther, kHidden };  // kHidden: a file of its own is on the way

class Settling {
  public:
    Settling(const Import& import, TreeWriter& tree, OciMarks& marks, MergedPath below)
        : import_(import),
          tree_(tree),
          marks_(marks),
          below_(std::move(below)),
          walk_(import.root()),
          copier_(import, Copier::Attributes::kNotOverlays, {}) {}
    Result<void> run();

  private:
    Result<Own> own(const std::string& path);
    [[nodiscard]] bool hides_above(const std::string& path) const;
    Result<void> link(const OciMarks::Link& link);
    Result<void> copy_up(const std::string& path);
    Result<void> opaque(const std::string& path);
    Result<void> whiteout(const std::string& path);
    Result<void> dress(const std::string& path);

    const Import& import_;
    TreeWriter& tree_;
    OciMarks& marks_;
    MergedPath below_;
    TreeWalk walk_;
    Copier copier_;
};

Result<Own> Settling::own(const std::string& path) {
    if (path.empty()) return Own::kDirectory;
    const size_t slash = path.rfind('/');
    const size_t begin = slash == std::string::npos ? 0 : slash + 1;
    auto parent = begin == 0 ? open_at(import_.root(), ".", O_PATH | O_DIRECTORY)
                             : walk_.open(path.substr(0, slash), O_PATH | O_DIRECTORY);
    if (!parent.ok() && parent.error().code == ENOENT) return Own::kNothing;
    if (!parent.ok() && (parent.error().code == ENOTDIR || parent.error().code == ELOOP)) return Own::kHidden;
    if (!parent.ok()) return std::move(parent).error();
    struct stat status {};
    if (fstatat(parent->get(), path.c_str() + begin, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        return S_ISDIR(status.st_mode) ? Own::kDirectory : Own::kOther;
    }
    if (errno == ENOENT) return Own::kNothing;
    return errno_error("looking at " + path);
}

/// Whether a directory that `path` is in shows nothing of the layers below.
bool Settling::hides_above(const std::string& path) const {
    if (path.empty()) return false;
    if (marks_.opaque.contains("")) return true;
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const std::string above = path.substr(0, slash);
        if (marks_.opaque.contains(above) || marks_.gone.contains(above)) return true;
    }
    return false;
}

Result<void> Settling::copy_up(const std::string& path) {
    const auto refused = [&path] {
        return invalid("it is a link to \"" + path + "\", which neither its layer nor those below have as a file");
    };
    if (hides_above(path) || marks_.gone.contains(path)) return refused();
    const auto found = TRY(below_.find(path));
    if (!found || S_ISDIR(found->status.st_mode)) return refused();
    TRY(tree_.charge_bytes(static_cast<uint64_t>(found->status.st_size)));
    const auto place = TRY(tree_.place_of(path));
    return copier_.copy(below_.dir(found->layer), place.name, found->status, place.parent.get());
}

Result<void> Settling::link(const OciMarks::Link& link) {
    if (TRY(own(link.path)) != Own::kNothing) return {};  // a later entry took its place
    const Own target = TRY(own(link.target));
    if (target == Own::kDirectory || target == Own::kHidden) {
        return invalid("it is a link to \"" + link.target + "\", which is no file of its layer");
    }
    if (target == Own::kNothing) TRY(copy_up(link.target));
    return tree_.hard_link(link.path, link.target);
}

Result<void> Settling::opaque(const std::string& path) {
    const UniqueFd directory = TRY(path.empty() ? open_at(import_.root(), ".", O_RDONLY | O_DIRECTORY)
                                                : walk_.open(path, O_RDONLY | O_DIRECTORY));
    return set_opaque(directory.get());
}

Result<void> Settling::whiteout(const std::string& path) {
    if (hides_above(path) || !TRY(below_.find(path)) || TRY(own(path)) != Own::kNothing) return {};
    const auto place = TRY(tree_.place_of(path));
    if (mknodat(place.parent.get(), place.name.c_str(), S_IFCHR, 0) == 0) return {};
    return errno_error("making the whiteout " + path);
}

/// Gives a directory that no entry told of what the one below has.
Result<void> Settling::dress(const std::string& path) {
    if (hides_above(path) || !TRY(below_.enter(path))) return {};
    const UniqueFd directory = TRY(walk_.open(path, O_RDONLY | O_DIRECTORY));
    struct stat status {};
    if (fstat(below_.topmost(), &status) != 0) return errno_error("looking at " + path);
    return copier_.copy_attributes(below_.topmost(), status, directory.get());
}

Result<void> Settling::run() {
    for (const OciMarks::Link& one : marks_.links) TRY_IN("archive entry " + one.path, link(one));
    for (const std::string& path : marks_.gone) {
        if (TRY(own(path)) == Own::kDirectory) marks_.opaque.insert(path);
    }
    for (const std::string& path : marks_.opaque) TRY(opaque(path));
    for (const std::string& path : marks_.gone) TRY(whiteout(path));
    TRY(copier_.finish());
    TRY(tree_.finish());
    // The innermost first, and after all is made: a directory may shut out what is in it.
    for (auto path = tree_.implied().rbegin(); path != tree_.implied().rend(); ++path) TRY(dress(*path));
    return {};
}

}  // namespace

OciLayer::OciLayer(std::unique_ptr<State> state) : state_(std::move(state)) {}
OciLayer::OciLayer(OciLayer&&) noexcept = default;
OciLayer& OciLayer::operator=(OciLayer&&) noexcept = default;
OciLayer::~OciLayer() = default;

Result<OciLayer> OciLayer::begin(const Store& store) {
    Import import = TRY(begin_layer(store));
    return OciLayer(std::make_unique<State>(std::move(import)));
}

Result<archives::TarReport> OciLayer::unpack(const archives::Pull& plain, const archives::TreeLimits& limits) {
    state_->tree.emplace(state_->import.root(), limits, Mounts::kEntered, archives::InTheWay::kReplaced);
    return archives::unpack_oci_layer(plain, *state_->tree, state_->marks);
}

Result<void> OciLayer::add_directory(const std::string& path, archives::Owner owner) {
    constexpr archives::TreeLimits kFew{.bytes = 0, .entries = 10'000};
    if (!state_->tree) {
        state_->tree.emplace(state_->import.root(), kFew, Mounts::kEntered, archives::InTheWay::kReplaced);
    }
    archives::Attributes attributes;
    attributes.mode = 0755;
    attributes.owner = owner;
    if (clock_gettime(CLOCK_REALTIME, &attributes.mtime) != 0) return errno_error("reading the clock");
    return state_->tree->directory(path, attributes);
}

Result<void> OciLayer::settle(std::span<const UniqueFd> below) {
    if (!state_->tree) return {};
    MergedPath tree = TRY(MergedPath::begin(below));
    return Settling(state_->import, *state_->tree, state_->marks, std::move(tree)).run();
}

Import OciLayer::take() {
    return std::move(state_->import);
}

}  // namespace hutch::overlayfs
