#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace hutch::test {

/// All that a program can see of one file.
struct ManifestEntry {
    mode_t type = 0;
    std::string content;   ///< length and hash, a link's target, a device's number
    std::string metadata;  ///< mode, owner, xattrs
    std::string mtime;
    std::string same_as;  ///< the first name of the same file, if it has several in the tree
    off_t size = 0;

    bool operator==(const ManifestEntry&) const = default;
};

/// By path from the root, which is "". Written for tests, with none of the code that it judges: one level of stack and
/// one descriptor per level of the tree, whole files in memory.
using Manifest = std::map<std::string, ManifestEntry>;

namespace detail {

inline std::string xattrs_of(const std::string& path) {
    std::string list(65536, '\0');
    const ssize_t size = llistxattr(path.c_str(), list.data(), list.size());
    std::map<std::string, std::string> xattrs;
    for (ssize_t at = 0; at < size;) {
        const std::string name = list.c_str() + at;
        at += static_cast<ssize_t>(name.size()) + 1;
        std::string value(65536, '\0');
        const ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        value.resize(length > 0 ? static_cast<size_t>(length) : 0);
        xattrs[name] = value;
    }
    std::ostringstream text;
    for (const auto& [name, value] : xattrs) text << ' ' << name << '=' << std::hex << std::hash<std::string>()(value);
    return text.str();
}

inline std::string content_of(int dir, const std::string& name, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) {
        std::string target(PATH_MAX, '\0');
        const ssize_t size = readlinkat(dir, name.c_str(), target.data(), target.size());
        return target.substr(0, size > 0 ? static_cast<size_t>(size) : 0);
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) return std::to_string(status.st_rdev);
    if (!S_ISREG(status.st_mode)) return "";
    const int fd = openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    std::string data(static_cast<size_t>(status.st_size), '\0');
    const ssize_t got = read(fd, data.data(), data.size());
    close(fd);
    return std::to_string(got) + " " + std::to_string(std::hash<std::string>()(data));
}

inline ManifestEntry entry_of(int dir, const std::string& name, const struct stat& status) {
    ManifestEntry entry;
    entry.type = status.st_mode & S_IFMT;
    entry.size = S_ISREG(status.st_mode) || S_ISLNK(status.st_mode) ? status.st_size : 0;
    entry.content = content_of(dir, name, status);
    std::ostringstream text;
    text << std::oct << (status.st_mode & 07777) << std::dec << ' ' << status.st_uid << ':' << status.st_gid
         << xattrs_of("/proc/self/fd/" + std::to_string(dir) + "/" + name);
    entry.metadata = text.str();
    entry.mtime = std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
    return entry;
}

using Names = std::map<std::pair<dev_t, ino_t>, std::vector<std::string>>;

inline void read_directory(int fd, const std::string& prefix, Manifest& manifest, Names& names) {
    const std::unique_ptr<DIR, decltype([](DIR* d) { closedir(d); })> listing(
        fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));  // `fd` may be a mount's, O_PATH
    for (const dirent* item = readdir(listing.get()); item != nullptr; item = readdir(listing.get())) {
        const std::string name = item->d_name;
        if (name == "." || name == "..") continue;
        struct stat status {};
        if (fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        const std::string path = prefix + name;
        manifest[path] = entry_of(fd, name, status);
        if (!S_ISDIR(status.st_mode)) {
            names[{status.st_dev, status.st_ino}].push_back(path);
            continue;
        }
        const int below = openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        read_directory(below, path + "/", manifest, names);
        close(below);
    }
}

}  // namespace detail

inline Manifest manifest_of(int dir) {
    Manifest manifest;
    detail::Names names;
    struct stat status {};
    fstat(dir, &status);
    manifest[""] = detail::entry_of(dir, ".", status);
    detail::read_directory(dir, "", manifest, names);
    for (auto& [inode, paths] : names) {
        if (paths.size() < 2) continue;
        const std::string first = *std::min_element(paths.begin(), paths.end());
        for (const std::string& path : paths) manifest[path].same_as = first;
    }
    return manifest;
}

/// What differs, a line each; "" for equal ones.
inline std::string compare(const Manifest& wanted, const Manifest& found) {
    std::ostringstream text;
    const auto show = [](const ManifestEntry& e) {
        std::ostringstream line;
        line << std::oct << e.type << " [" << e.content << "] " << e.metadata << " " << e.mtime << " (" << e.same_as
             << ")";
        return line.str();
    };
    for (const auto& [path, entry] : wanted) {
        const auto other = found.find(path);
        if (other == found.end()) {
            text << "missing /" << path << ": " << show(entry) << "\n";
        } else if (other->second != entry) {
            text << "differs /" << path << ": " << show(entry) << "\n   found: " << show(other->second) << "\n";
        }
    }
    for (const auto& [path, entry] : found) {
        if (!wanted.contains(path)) text << "too much /" << path << ": " << show(entry) << "\n";
    }
    return text.str();
}

}  // namespace hutch::test
