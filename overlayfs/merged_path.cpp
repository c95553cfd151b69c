#include "overlayfs/merged_path.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/file.h"

namespace hutch::overlayfs {

namespace {

// Each looks a name up from the root on; links could lead through very many.
constexpr int kMostSteps = 256;

std::vector<std::string> names_of(const std::string& path) {
    std::vector<std::string> names;
    for (size_t begin = 0; begin < path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        if (end > begin) names.push_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return names;
}

std::string joined_path(const std::vector<std::string>& names) {
    std::string path;
    for (const std::string& name : names) path += (path.empty() ? "" : "/") + name;
    return path;
}

Result<std::string> link_target(int dir, const std::string& name) {
    char target[PATH_MAX];
    const ssize_t size = readlinkat(dir, name.c_str(), target, sizeof(target));
    if (size < 0) return errno_error("reading the link " + name);
    return std::string(target, static_cast<size_t>(size));
}

}  // namespace

Result<MergedPath> MergedPath::begin(std::span<const UniqueFd> layers) {
    return MergedPath(TRY(MergedTree::begin(layers)));
}

Result<bool> MergedPath::enter(const std::string& path) {
    const std::vector<std::string> names = names_of(path);
    const auto parted = std::mismatch(names_.begin(), names_.end(), names.begin(), names.end());
    const auto same = static_cast<size_t>(parted.first - names_.begin());
    for (; names_.size() > same; names_.pop_back()) TRY(tree_.up());
    for (size_t i = same; i < names.size(); ++i) {
        if (!TRY(tree_.down(names[i]))) return false;
        names_.push_back(names[i]);
    }
    return true;
}

Result<std::optional<MergedTree::Found>> MergedPath::find(const std::string& path) {
    const size_t slash = path.rfind('/');
    const size_t begin = slash == std::string::npos ? 0 : slash + 1;
    if (!TRY(enter(path.substr(0, begin)))) return std::optional<MergedTree::Found>();
    return tree_.visible(path.substr(begin));
}

Result<std::string> real_path(std::span<const UniqueFd> layers, const std::string& path) {
    MergedPath tree = TRY(MergedPath::begin(layers));
    const auto parts = names_of(path);
    std::deque<std::string> ahead(parts.begin(), parts.end());
    std::vector<std::string> real;
    for (int links = 0, steps = 0; !ahead.empty();) {
        if (++steps > kMostSteps) return errno_error("looking for " + path, ELOOP);
        const std::string name = ahead.front();
        ahead.pop_front();
        if (name == ".") continue;
        if (name == "..") {
            if (!real.empty()) real.pop_back();
            continue;
        }
        const std::string parent = joined_path(real);
        const auto found = TRY(tree.find(parent.empty() ? name : parent + '/' + name));
        if (!found) return errno_error("looking for " + path, ENOENT);
        if (!S_ISLNK(found->status.st_mode)) {
            if (!ahead.empty() && !S_ISDIR(found->status.st_mode)) return errno_error("looking for " + path, ENOTDIR);
            real.push_back(name);
            continue;
        }
        if (++links > 40) return errno_error("looking for " + path, ELOOP);  // as the kernel
        const std::string target = TRY(link_target(tree.dir(found->layer), name));
        if (target.starts_with('/')) real.clear();
        const auto onward = names_of(target);
        ahead.insert(ahead.begin(), onward.begin(), onward.end());
        if (ahead.size() > PATH_MAX) return errno_error("looking for " + path, ENAMETOOLONG);
    }
    return joined_path(real);
}

Result<std::string> read_merged(std::span<const UniqueFd> layers, const std::string& path, size_t limit) {
    const std::string real = TRY(real_path(layers, path));
    MergedPath tree = TRY(MergedPath::begin(layers));
    const auto found = TRY(tree.find(real));
    if (!found || !S_ISREG(found->status.st_mode)) return errno_error("reading " + path, ENOENT);
    const std::string name = real.substr(real.rfind('/') + 1);
    const UniqueFd file = TRY(open_at(tree.dir(found->layer), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    return read_all(file.get(), path, limit);
}

}  // namespace hutch::overlayfs
