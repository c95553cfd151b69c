#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "overlayfs/tree.h"

namespace hutch::test {

/// Applies archives of layers to a tree as the image-spec has it (layer.md), each entry as it comes. Written for tests,
/// with none of the code that it judges. Whole files in memory, paths without a thought of links.
class LayerApplier {
  public:
    explicit LayerApplier(int root) : root_(root) {}

    void apply(const std::string& tar) {
        const std::unique_ptr<archive, decltype([](archive* a) { archive_read_free(a); })> reader(archive_read_new());
        archive_read_support_format_tar(reader.get());
        ASSERT_EQ(archive_read_open_memory(reader.get(), tar.data(), tar.size()), ARCHIVE_OK);
        times_.clear();
        archive_entry* entry = nullptr;
        int code = ARCHIVE_OK;
        while ((code = archive_read_next_header(reader.get(), &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
            std::string path = archive_entry_pathname(entry);
            while (path.size() > 1 && path.ends_with('/')) path.pop_back();
            if (path.starts_with("./")) path = path.substr(2);
            entries_.push_back(path);
            const size_t name = path.rfind('/') + 1;
            if (path.substr(name).starts_with(".wh.")) {
                (void)remove_tree_at(root_, path.substr(0, name) + path.substr(name + 4));
                continue;
            }
            make(path, entry, reader.get());
        }
        ASSERT_EQ(code, ARCHIVE_EOF) << archive_error_string(reader.get());
        for (const auto& [path, time] : times_) {
            const timespec both[2] = {time, time};
            ASSERT_EQ(utimensat(root_, path.c_str(), both, AT_SYMLINK_NOFOLLOW), 0) << path;
        }
    }
    /// Paths of all entries so far, as they came.
    [[nodiscard]] const std::vector<std::string>& entries() const { return entries_; }

  private:
    void make(const std::string& path, archive_entry* entry, archive* reader) {
        const mode_t mode = archive_entry_mode(entry);
        struct stat there {};
        const bool exists = fstatat(root_, path.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
        const bool merges = exists && S_ISDIR(there.st_mode) && S_ISDIR(mode);
        if (exists && !merges) (void)remove_tree_at(root_, path);
        if (const char* first = archive_entry_hardlink(entry)) {
            ASSERT_EQ(linkat(root_, first, root_, path.c_str(), 0), 0) << path << " -> " << first;
            return;
        }
        if (S_ISDIR(mode)) {
            ASSERT_TRUE(merges || mkdirat(root_, path.c_str(), 0700) == 0) << path;
        } else if (S_ISLNK(mode)) {
            ASSERT_EQ(symlinkat(archive_entry_symlink(entry), root_, path.c_str()), 0) << path;
        } else if (S_ISREG(mode)) {
            std::string data(static_cast<size_t>(archive_entry_size(entry)), '\0');
            ASSERT_EQ(archive_read_data(reader, data.data(), data.size()), static_cast<la_ssize_t>(data.size()));
            const auto file = open_at(root_, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
            ASSERT_TRUE(file.ok() && write_all(file.value().get(), data).ok()) << path;
        } else {
            ASSERT_EQ(mknodat(root_, path.c_str(), mode, archive_entry_rdev(entry)), 0) << path;
        }
        set_attributes(path, entry, mode);
    }
    void set_attributes(const std::string& path, archive_entry* entry, mode_t mode) {
        ASSERT_EQ(fchownat(root_, path.c_str(), static_cast<uid_t>(archive_entry_uid(entry)),
                           static_cast<gid_t>(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW),
                  0);
        if (!S_ISLNK(mode)) {
            ASSERT_EQ(fchmodat(root_, path.c_str(), mode & 07777, 0), 0);
        }
        const std::string at = "/proc/self/fd/" + std::to_string(root_) + "/" + path;
        std::string old(65536, '\0');
        const ssize_t size = llistxattr(at.c_str(), old.data(), old.size());
        for (ssize_t i = 0; i < size; i += static_cast<ssize_t>(strlen(old.data() + i)) + 1) {
            lremovexattr(at.c_str(), old.data() + i);
        }
        archive_entry_xattr_reset(entry);
        const char* name = nullptr;
        const void* value = nullptr;
        size_t length = 0;
        while (archive_entry_xattr_next(entry, &name, &value, &length) == ARCHIVE_OK) {
            ASSERT_EQ(lsetxattr(at.c_str(), name, value, length, 0), 0) << path << ": " << name;
        }
        times_.emplace_back(path, timespec{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)});
    }

    int root_;
    std::vector<std::string> entries_;
    std::vector<std::pair<std::string, timespec>> times_;  ///< set last: what comes into a directory changes its time
};

}  // namespace hutch::test
