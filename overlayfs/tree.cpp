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

/// Adds what `dir` holds; answers the directories to go down into.
Result<std::vector<std::string>> add_up(int dir, Sum& sum) {
    constexpr uint64_t kBlock = 512;  // what st_blocks counts in, whatever the filesystem's own block is
    std::vector<std::string> below;
    for (std::string& name : TRY(names_in(dir))) {
        struct stat status {};
        if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("looking at " + name);
        const bool directory = S_ISDIR(status.st_mode);
        const bool several = !directory && status.st_nlink > 1;
        if (several && !sum.linked.emplace(status.st_dev, status.st_ino).second) continue;
        sum.bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
        if (directory) below.push_back(std::move(name));
    }
    return below;
}

}  // namespace

Result<uint64_t> tree_bytes(int dir) {
    Sum sum;
    UniqueFd here = TRY(open_at(dir, ".", O_RDONLY | O_DIRECTORY));
    std::vector<std::vector<std::string>> todo;  // per level from the top, the directories not yet visited
    todo.push_back(TRY(add_up(here.get(), sum)));
    for (;;) {
        if (todo.back().empty()) {
            todo.pop_back();
            if (todo.empty()) return sum.bytes;
            here = TRY(open_at(here.get(), "..", O_RDONLY | O_DIRECTORY));
            continue;
        }
        const std::string name = std::move(todo.back().back());
        todo.back().pop_back();
        here = TRY(open_at(here.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        todo.push_back(TRY(add_up(here.get(), sum)));
    }
}

}  // namespace hutch::overlayfs
