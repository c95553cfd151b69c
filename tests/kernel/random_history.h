#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "tests/kernel/posix_acl.h"

namespace hutch::test {

/// Random steps in a tree, as programs in a box take them: many fail, as theirs do. The same seed in the same tree
/// takes the same steps.
class RandomHistory {
  public:
    /// kArchivable: nothing that an archive of a layer cannot hold, which are sockets and names like those of
    /// whiteouts.
    enum class Files { kAny, kArchivable };
    RandomHistory(int root, uint64_t seed, Files files = Files::kAny)
        : root_(root), archivable_(files == Files::kArchivable), random_(seed) {
        umask(0);
        look_around(".");
    }
    void take(int steps) {
        for (int i = 0; i < steps; ++i) step();
    }

  private:
    uint64_t below(uint64_t bound) { return random_() % bound; }
    template <typename Container>
    auto any(const Container& of) {
        return of[below(of.size())];
    }
    std::string bytes(size_t size) {
        std::string text(size, '\0');
        for (char& c : text) c = static_cast<char>(random_());
        return text;
    }

    /// Names of all there is, in an order that does not depend on the filesystem.
    void look_around(const std::string& path) {
        directories_.push_back(path);
        auto listing = open_at(root_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (!listing.ok()) return;
        auto names = names_in(listing.value().get()).value();
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) {
            struct stat status {};
            if (fstatat(listing.value().get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
            if (S_ISDIR(status.st_mode)) {
                look_around(path + "/" + name);
            } else {
                files_.push_back(path + "/" + name);
            }
        }
    }

    std::string fresh_path() {
        static const std::vector<std::string> names = {
            "a",        "b", "c", "d", "e", "a-b", "a b", "\xff\xfe", "new\nline", ".wh.a", std::string(255, 'n'),
            "e\xcc\x81"};
        std::string name = any(names);
        if (archivable_ && name.starts_with(".wh.")) name = "not" + name;
        std::string path = any(directories_) + "/" + name;
        return path.size() < 3000 ? path : "./" + name;
    }
    std::string file() { return files_.empty() ? fresh_path() : any(files_); }
    std::string anything() { return below(3) == 0 ? any(directories_) : file(); }

    void write(const std::string& path, int flags, off_t offset, size_t size) {
        const auto file = open_at(root_, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | flags, 0644);
        if (!file.ok()) return;
        const std::string text = bytes(size);
        (void)!pwrite(file.value().get(), text.data(), text.size(), offset);
        if ((flags & O_CREAT) != 0) files_.push_back(path);
    }
    void truncate(const std::string& path, off_t size) {
        const auto file = open_at(root_, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
        if (file.ok()) (void)!ftruncate(file.value().get(), size);
    }
    void make_directory(const std::string& path) {
        if (mkdirat(root_, path.c_str(), 0755) == 0) directories_.push_back(path);
    }
    void make_node(const std::string& path, mode_t mode) {
        if (mknodat(root_, path.c_str(), mode, 0) == 0) files_.push_back(path);
    }
    void rename(const std::string& from, const std::string& to, unsigned flags) {
        if (renameat2(root_, from.c_str(), root_, to.c_str(), flags) != 0 || flags != 0) return;
        directories_ = {};
        files_ = {};
        look_around(".");
    }
    void mark(const std::string& path) {
        static const std::vector<std::string> xattrs = {"user.a", "user.b", "security.capability",
                                                        "system.posix_acl_access", "system.posix_acl_default"};
        const std::string name = any(xattrs);
        const std::string at = "/proc/self/fd/" + std::to_string(root_) + "/" + path;
        std::string value = bytes(below(20));
        if (name == "security.capability") value = kFileCapability;
        if (name.starts_with("system.")) value = posix_acl(static_cast<char>(below(8)));
        if (below(4) == 0) {
            lremovexattr(at.c_str(), name.c_str());
        } else {
            lsetxattr(at.c_str(), name.c_str(), value.data(), value.size(), 0);
        }
    }
    void set_time(const std::string& path) {
        const timespec time{static_cast<time_t>(below(2'000'000'000)), static_cast<long>(below(1'000'000'000))};
        const timespec times[2] = {time, time};
        utimensat(root_, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }
    void remove(const std::string& path) {
        if (path == ".") return;
        (void)remove_tree_at(root_, path);
        directories_ = {};
        files_ = {};
        look_around(".");
    }

    void step() {
        static constexpr std::array<size_t, 5> kSizes = {0, 1, 100, 5000, 70'000};
        const size_t size = any(kSizes);
        const bool crowded = directories_.size() + files_.size() > 250;
        if (crowded && below(3) == 0) return remove(below(2) == 0 ? any(directories_) : file());
        switch (below(20)) {
            case 0:
            case 1:
                return write(fresh_path(), O_CREAT | O_TRUNC, 0, size);
            case 2:
                return write(file(), O_TRUNC, 0, size);
            case 3:
                return write(file(), 0, static_cast<off_t>(below(5000)), 10);
            case 4:
                return write(file(), 0, static_cast<off_t>(below(300'000)), 10);
            case 5:
                return write(file(), 0, 0, 0);  // copied up, nothing else
            case 6:
                return truncate(file(), static_cast<off_t>(below(100'000)));
            case 7:
            case 8:
            case 9:
                return make_directory(fresh_path());
            case 10:
                return remove(anything());
            case 11: {  // another thing of the same name
                const std::string path = anything();
                remove(path);
                return below(2) == 0 ? make_directory(path) : write(path, O_CREAT, 0, size);
            }
            case 12:
                return rename(anything(), below(2) == 0 ? anything() : fresh_path(), 0);
            case 13:
                return rename(anything(), anything(), RENAME_EXCHANGE);
            case 14: {
                const std::string path = fresh_path();
                if (linkat(root_, file().c_str(), root_, path.c_str(), 0) == 0) files_.push_back(path);
                return;
            }
            case 15: {
                const std::string path = fresh_path();
                if (symlinkat(anything().c_str(), root_, path.c_str()) == 0) files_.push_back(path);
                return;
            }
            case 16:
                std::ignore = fchmodat(root_, anything().c_str(), static_cast<mode_t>(0400 | below(010000)), 0);
                return;
            case 17:
                std::ignore = fchownat(root_, anything().c_str(), static_cast<uid_t>(below(65536)),
                                       static_cast<gid_t>(below(65536)), AT_SYMLINK_NOFOLLOW);
                return;
            case 18:
                return below(4) == 0
                           ? make_node(fresh_path(), below(2) == 0 || archivable_ ? S_IFIFO | 0644 : S_IFSOCK | 0755)
                           : mark(anything());
            default:
                return set_time(anything());
        }
    }

    const int root_;
    const bool archivable_;
    std::mt19937_64 random_;
    std::vector<std::string> directories_;
    std::vector<std::string> files_;
};

}  // namespace hutch::test
