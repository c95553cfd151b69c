#include "overlayfs/tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <utility>

#include "base/file.h"
#include "overlayfs/tree_cursor.h"

namespace hutch::overlayfs {

namespace {

struct Sum {
    uint64_t bytes = 0;
    std::set<std::pair<dev_t, ino_t>> linked;  ///< files of several names that were counted
};

/// Adds what `dir` holds; answers the directories in it.
Result<std::vector<std::string>> add_up(int dir, Sum& sum) {
    constexpr uint64_t kBlock = 512;  // what st_blocks counts in, whatever the filesystem's own block is
    std::vector<std::string> directories;
    for (std::string& name : TRY(names_in(dir))) {
        struct stat status {};
        if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue;
            return errno_error("looking at " + name);
        }
        const bool directory = S_ISDIR(status.st_mode);
        const bool several = !directory && status.st_nlink > 1;
        if (several && !sum.linked.emplace(status.st_dev, status.st_ino).second) continue;
        sum.bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
        if (directory) directories.push_back(std::move(name));
    }
    return directories;
}

}  // namespace

Result<uint64_t> tree_bytes(int dir, const std::stop_token& stop) {
    Sum sum;
    TreeCursor at = TRY(TreeCursor::begin(dir));
    std::vector<std::vector<std::string>> todo;  // directories not yet visited, from the root's down to here
    todo.push_back(TRY(add_up(at.dir(), sum)));
    for (;;) {
        if (stop.stop_requested()) return errno_error("adding up a tree", ECANCELED);
        if (todo.back().empty()) {
            todo.pop_back();
            if (todo.empty()) return sum.bytes;
            TRY(at.up());
            continue;
        }
        const std::string name = std::move(todo.back().back());
        todo.back().pop_back();
        if (TRY(at.down(name))) todo.push_back(TRY(add_up(at.dir(), sum)));
    }
}

}  // namespace hutch::overlayfs
