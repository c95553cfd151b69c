#include "overlayfs/tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "base/file.h"

namespace hutch::overlayfs {

namespace {

struct Sum {
    uint64_t bytes = 0;
    std::set<std::pair<dev_t, ino_t>> linked;  ///< files of several names that were counted
};

struct Level {
    std::pair<dev_t, ino_t> self;
    std::vector<std::string> todo;  ///< directories in it that were not yet visited
};

/// Adds what `dir` holds.
Result<Level> add_up(int dir, Sum& sum) {
    constexpr uint64_t kBlock = 512;  // what st_blocks counts in, whatever the filesystem's own block is
    struct stat status {};
    if (fstat(dir, &status) != 0) return errno_error("looking at a directory");
    Level level{{status.st_dev, status.st_ino}, {}};
    for (std::string& name : TRY(names_in(dir))) {
        if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;
            return errno_error("looking at " + name);
        }
        const bool directory = S_ISDIR(status.st_mode);
        const bool several = !directory && status.st_nlink > 1;
        if (several && !sum.linked.emplace(status.st_dev, status.st_ino).second) continue;
        sum.bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
        if (directory) level.todo.push_back(std::move(name));
    }
    return level;
}

bool is(int dir, const Level& level) {
    struct stat status {};
    return fstat(dir, &status) == 0 && level.self == std::pair(status.st_dev, status.st_ino);
}

}  // namespace

Result<uint64_t> tree_bytes(int dir, const std::stop_token& stop) {
    Sum sum;
    UniqueFd here = TRY(open_at(dir, ".", O_RDONLY | O_DIRECTORY));
    std::vector<Level> levels;  // from the top down to `here`
    levels.push_back(TRY(add_up(here.get(), sum)));
    for (;;) {
        if (stop.stop_requested()) return errno_error("adding up a tree", ECANCELED);
        if (levels.back().todo.empty()) {
            levels.pop_back();
            if (levels.empty()) return sum.bytes;
            here = TRY(open_at(here.get(), "..", O_RDONLY | O_DIRECTORY));
            if (!is(here.get(), levels.back())) return sum.bytes;  // moved meanwhile: ".." may lead out of the tree
            continue;
        }
        const std::string name = std::move(levels.back().todo.back());
        levels.back().todo.pop_back();
        auto below = open_at(here.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!below.ok() &&
            (below.error().code == ENOENT || below.error().code == ENOTDIR || below.error().code == ELOOP)) {
            continue;  // vanished, or something else by now
        }
        here = TRY(std::move(below));
        levels.push_back(TRY(add_up(here.get(), sum)));
    }
}

}  // namespace hutch::overlayfs
