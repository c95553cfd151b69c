#include "archives/tree_writer.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"

namespace hutch::archives {

namespace {

/// Owner first, since changing it takes away set-uid bits and file capabilities.
Result<void> apply(int fd, const std::string& path, const Attributes& attributes) {
    const auto& owner = attributes.owner;
    if (owner && fchown(fd, owner->uid, owner->gid) != 0) return errno_error("setting the owner of " + path);
    if (fchmod(fd, attributes.mode) != 0) return errno_error("setting the mode of " + path);
    for (const auto& [name, value] : attributes.xattrs) {
        if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) {
            constexpr size_t kFits = 1024;  // on any file system
            if (errno == ENOSPC && value.size() > kFits)
                return invalid(path + ": its attribute " + name + " is too long");
            return errno_error("setting " + name + " of " + path);
        }
    }
    const timespec times[2] = {attributes.mtime, attributes.mtime};
    if (futimens(fd, times) != 0) return errno_error("setting the time of " + path);
    return {};
}

/// Makes `make` succeed where a file or link is in the way.
template <typename Make>
Result<void> replacing(int parent, const std::string& name, const std::string& path, Make make) {
    if (make() == 0) return {};
    if (errno != EEXIST) return errno_error("making " + path);
    if (unlinkat(parent, name.c_str(), 0) != 0) return errno_error("replacing " + path);
    if (make() != 0) return errno_error("making " + path);
    return {};
}

/// Where two paths part: how long the path of the last directory is that both lead through.
size_t length_in_common(const std::string& a, const std::string& b) {
    const auto parted = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    const auto same = static_cast<size_t>(parted.first - a.begin());
    const auto ends = [same](const std::string& path) { return same == path.size() || path[same] == '/'; };
    if (ends(a) && ends(b)) return same;
    const size_t slash = same == 0 ? std::string::npos : a.rfind('/', same - 1);
    return slash == std::string::npos ? 0 : slash;
}

/// The end of the first `count` names at `begin`, if more follow.
std::optional<size_t> end_of_names(const std::string& path, size_t begin, size_t count) {
    size_t slash = path.find('/', begin);
    while (slash != std::string::npos && --count > 0) slash = path.find('/', slash + 1);
    return slash == std::string::npos ? std::nullopt : std::optional(slash);
}

/// 0 where there is nothing.
mode_t type_of(int parent, const std::string& name) {
    struct stat status {};
    return fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mode & S_IFMT : 0;
}

}  // namespace

Result<UniqueFd> TreeWalk::open(const std::string& path, int flags) {
    constexpr size_t kEvery = 64;  // a path has 2,048 names at most
    const size_t same = length_in_common(last_, path);
    while (!kept_.empty() && (kept_.back().length > same || kept_.back().length == path.size())) kept_.pop_back();
    last_ = path;
    int from = kept_.empty() ? root_ : kept_.back().directory.get();
    size_t begin = kept_.empty() ? 0 : kept_.back().length + 1;
    while (const auto end = end_of_names(path, begin, kEvery)) {
        const std::string names = path.substr(begin, *end - begin);
        kept_.push_back({*end, TRY(open_beneath(from, names, O_PATH | O_DIRECTORY, mounts_))});
        from = kept_.back().directory.get();
        begin = *end + 1;
    }
    return open_beneath(from, path.substr(begin), flags, mounts_);
}

// As if '/' came before all other bytes, or "a-b" would stand between "a" and "a/b".
bool TreeOrder::operator()(const std::string& a, const std::string& b) const {
    const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c); };
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [&](char x, char y) { return rank(x) < rank(y); });
}

Result<void> TreeWriter::charge_bytes(uint64_t bytes) {
    if (bytes > limits_.bytes - bytes_) {
        return Error{ErrorKind::kTooLarge, 0, "the tree has more than " + std::to_string(limits_.bytes) + " bytes"};
    }
    bytes_ += bytes;
    return {};
}

Result<void> TreeWriter::charge_entry() {
    if (entries_ >= limits_.entries) {
        return Error{ErrorKind::kTooLarge, 0, "the tree has more than " + std::to_string(limits_.entries) + " entries"};
    }
    ++entries_;
    return {};
}

Result<UniqueFd> TreeWriter::open_parent(const std::string& path) {
    auto known = walk_.open(path, O_PATH | O_DIRECTORY);
    const bool replaces = in_the_way_ == InTheWay::kReplaced;
    const auto is = [&known](int code) { return known.error().code == code; };
    if (known.ok() || !(is(ENOENT) || (replaces && (is(ENOTDIR) || is(ELOOP))))) return known;
    UniqueFd here = TRY(open_at(root_, ".", O_PATH | O_DIRECTORY));
    for (size_t begin = 0; begin < path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        begin = end + 1;
        bool made = mkdirat(here.get(), part.c_str(), 0755) == 0;
        if (!made && errno != EEXIST) return errno_error("making " + path);
        if (!made && replaces && type_of(here.get(), part) != S_IFDIR) {
            TRY(replacing(here.get(), part, path, [&] { return mkdirat(here.get(), part.c_str(), 0755); }));
            made = true;
        }
        here = TRY(open_beneath(here.get(), part, (made ? O_RDONLY : O_PATH) | O_DIRECTORY, mounts_));
        if (!made) continue;
        TRY(charge_entry());
        if (replaces && implied_.insert(path.substr(0, end)).second) TRY(charge_name(path.substr(0, end)));
        if (fchmod(here.get(), 0755) != 0) return errno_error("setting the mode of " + path);
    }
    return here;
}

Result<TreeWriter::Place> TreeWriter::place_of(const std::string& path) {
    if (path.empty()) return invalid("the root of the tree can only be a directory");
    TRY(charge_entry());
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return Place{TRY(open_at(root_, ".", O_PATH | O_DIRECTORY)), path};
    return Place{TRY(open_parent(path.substr(0, slash))), path.substr(slash + 1)};
}

Result<void> TreeWriter::imply(const std::string& path) {
    TRY(open_parent(path));
    return {};
}

Result<void> TreeWriter::clear(const std::string& path) {
    const Place place = TRY(place_of(path));
    if (unlinkat(place.parent.get(), place.name.c_str(), 0) == 0 || errno == ENOENT) return {};
    return errno_error("replacing " + path);
}

Result<void> TreeWriter::directory(const std::string& path, const Attributes& attributes, Existing existing) {
    if (path.empty()) return {};
    const Place place = TRY(place_of(path));
    const int parent = place.parent.get();
    const mode_t there = type_of(parent, place.name);
    if (existing == Existing::kKept && there == S_IFDIR) return {};
    if (existing == Existing::kKept && there == S_IFLNK) {
        return invalid("a directory would take the place of a link; copy to where that leads");
    }
    if (there != S_IFDIR) {
        TRY(replacing(parent, place.name, path, [&] { return mkdirat(parent, place.name.c_str(), 0700); }));
    }
    const UniqueFd made = TRY(open_beneath(parent, place.name, O_RDONLY | O_DIRECTORY, mounts_));
    Attributes open_to_us = attributes;
    open_to_us.mode |= 0700;
    TRY(apply(made.get(), path, open_to_us));
    implied_.erase(path);
    return note(path, attributes);
}

Result<void> TreeWriter::note(const std::string& path, const Attributes& attributes) {
    const bool fresh = directories_.insert_or_assign(path, Unfinished{attributes.mode, attributes.mtime}).second;
    return fresh ? charge_name(path) : Result<void>();
}

Result<void> TreeWriter::charge_name(const std::string& path) {
    noted_ += path.size();
    if (noted_ <= limits_.names) return {};
    return Error{ErrorKind::kTooLarge, 0,
                 "the names of its directories take more than " + std::to_string(limits_.names) + " bytes"};
}

Result<UniqueFd> TreeWriter::file(const std::string& path) {
    const Place place = TRY(place_of(path));
    UniqueFd made;
    TRY(replacing(place.parent.get(), place.name, path, [&] {
        constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        made = UniqueFd(openat(place.parent.get(), place.name.c_str(), kFlags, 0600));
        return made ? 0 : -1;
    }));
    return made;
}

Result<void> TreeWriter::finish_file(const std::string& path, const UniqueFd& file, const Attributes& attributes) {
    return apply(file.get(), path, attributes);
}

Result<void> TreeWriter::symlink(const std::string& path, const std::string& target, const Attributes& attributes) {
    const Place place = TRY(place_of(path));
    const int parent = place.parent.get();
    const char* name = place.name.c_str();
    TRY(replacing(parent, place.name, path, [&] { return symlinkat(target.c_str(), parent, name); }));
    const auto& owner = attributes.owner;
    if (owner && fchownat(parent, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("setting the owner of " + path);
    }
    const timespec times[2] = {attributes.mtime, attributes.mtime};
    if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("setting the time of " + path);
    return {};
}

Result<void> TreeWriter::hard_link(const std::string& path, const std::string& target) {
    if (path == target) return invalid("archive entry " + path + " is a link to itself");
    const Place place = TRY(place_of(path));
    const size_t slash = target.rfind('/');
    const std::string target_parent = slash == std::string::npos ? "." : target.substr(0, slash);
    const std::string target_name = target.substr(slash == std::string::npos ? 0 : slash + 1);
    const UniqueFd from = TRY(open_beneath(root_, target_parent, O_PATH | O_DIRECTORY, mounts_));
    return replacing(place.parent.get(), place.name, path, [&] {
        return linkat(from.get(), target_name.c_str(), place.parent.get(), place.name.c_str(), 0);
    });
}

Result<void> TreeWriter::finish() {
    // The innermost first: a directory may shut out what is in it.
    for (auto place = directories_.rbegin(); place != directories_.rend(); ++place) {
        const auto& [path, unfinished] = *place;
        const UniqueFd directory = TRY(walk_.open(path, O_RDONLY | O_DIRECTORY));
        if (fchmod(directory.get(), unfinished.mode) != 0) return errno_error("setting the mode of " + path);
        const timespec times[2] = {unfinished.mtime, unfinished.mtime};
        if (futimens(directory.get(), times) != 0) return errno_error("setting the time of " + path);
    }
    return {};
}

}  // namespace hutch::archives
