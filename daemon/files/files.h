#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archives/tar.h"
#include "base/file.h"
#include "base/fs_identity.h"
#include "daemon/box/box.h"
#include "daemon/files/replacement.h"

namespace hutch::daemon {

/// Where file calls and commands start from when they name no absolute path.
constexpr const char* kHome = "/workspace/home";
/// What "~" stands for at the beginning of a path.
constexpr const char* kUsersHome = "/home/boxuser";
/// What goes without saying in a box, by its image: where paths begin, and whose files are that it makes (ids within
/// the box).
struct Habits {
    std::string folder = kHome;
    std::string home = kUsersHome;
    uid_t uid = 1000;
    gid_t gid = 1000;
};
std::string absolute_path(const std::string& path, const Habits& habits = {});

struct FileEntry {
    std::string name;
    uint64_t size = 0;
    bool is_dir = false;  ///< or else without a content that could be had: a FIFO, a link to nowhere
    timespec mod_time{};
    std::string type;    ///< "file", "dir", "link", "fifo", "socket" or "device", links not followed
    std::string target;  ///< of a link
};

/// Whether a link at a path's end stands for itself or for what it leads to.
enum class LastLink { kItself, kFollowed };

/// What remove() may take away.
enum class Removal { kNoDirectory, kTree };

/// File calls on a living box, from the host's side. Paths are resolved by the kernel beneath the box's root
/// (openat2(2), RESOLVE_IN_ROOT without magic links): whatever links the box made, the walk cannot leave it. Only
/// regular files and directories of ordinary file systems are opened, so that no FIFO, device or kernel file can make
/// us wait or act. New files and directories are the user's of the habits, and made on the box's disk alone: memory
/// that a file of /dev/shm takes is charged to whoever writes it (mem_cgroup_charge() in mm/memcontrol.c), and a
/// message queue to whoever makes it, which would be the daemon and not the box. All of these block: for worker
/// threads.
class Files {
  public:
    /// A duplicate of the box's root is held, so the box may end meanwhile. `field`: as errors call a path.
    static Result<Files> of(Box& box, const char* field = "path", Habits habits = {});
    [[nodiscard]] std::string absolute(const std::string& path) const { return absolute_path(path, habits_); }

    /// Told of so many bytes more before they are held; its error ends the reading.
    using Charge = std::function<Result<void>(size_t)>;
    /// kTooLarge above `limit` bytes.
    Result<std::string> read(const std::string& path, uint64_t limit, const Charge& charge = nullptr) const;
    /// The bytes from `offset` on, `length` of them or those that there are.
    Result<std::string> read_part(const std::string& path, uint64_t offset, size_t length,
                                  const Charge& charge = nullptr) const;
    /// As replace(), in one.
    Result<void> write(const std::string& path, std::string_view content) const;
    [[nodiscard]] Result<std::vector<FileEntry>> list(const std::string& path, const Charge& charge) const;
    [[nodiscard]] Result<UniqueFd> open_for_reading(const std::string& path) const;
    /// A new file, or new content for the one that is there, which it is whole or not at all. Creates parents. A link
    /// is followed, and what it names replaced; other names of that keep the old content.
    Result<Replacement> replace(const std::string& path) const;
    /// The directory of that path, for something to be made in it; made, with its parents, where it is
    /// missing.
    [[nodiscard]] Result<UniqueFd> make_directory(const std::string& path) const;
    /// Unpacks a plain archive, to the end of `archive`, beneath such a directory; all that is made is boxuser's, or
    /// as `ownership` says, of which the base is filled in here.
    Result<archives::TarReport> unpack(int directory, int archive,
                                       std::optional<archives::Ownership> ownership = {}) const;
    [[nodiscard]] Result<bool> is_directory(const std::string& path) const;

    // entries.cpp: of directories. Nothing that is mounted in the box is moved or removed so.

    /// Looks at what is there, and opens nothing.
    [[nodiscard]] Result<struct stat> look_at(const std::string& path, LastLink link) const;
    /// A new directory. kConflict where there is something, kNotFound where it has no parent.
    Result<void> make_one_directory(const std::string& path) const;
    /// What is at `path` is then at `target`, a path of `targets`, in the place of what may be there, as rename(2) has
    /// it. kInvalid where only a copy could be made: between file systems, and of a directory of the image's.
    Result<void> rename(const std::string& path, const Files& targets, const std::string& target) const;
    /// At most `most` entries of a tree; false where there is more of it, and true once it is gone.
    Result<bool> remove(const std::string& path, Removal removal, uint64_t most) const;

  private:
    Files(UniqueFd root, uid_t base, const char* field, Habits habits)
        : root_(std::move(root)), base_(base), field_(field), habits_(std::move(habits)) {}
    /// That of the user, for the calling thread.
    [[nodiscard]] Result<FsIdentity> identity() const {
        return FsIdentity::take(base_ + habits_.uid, base_ + habits_.gid);
    }
    /// folder: "d"
    [[nodiscard]] std::string what(const std::string& path) const;
    [[nodiscard]] Result<UniqueFd> resolve(const std::string& path, int flags, Mounts mounts = Mounts::kEntered) const;
    struct Place {
        UniqueFd directory;
        std::string name;
    };
    [[nodiscard]] Result<Place> place_of(const std::string& path, int found) const;
    /// Of what may be there or not, itself: the directory that holds it.
    [[nodiscard]] Result<Place> entry_at(const std::string& path, Mounts mounts = Mounts::kEntered) const;
    [[nodiscard]] Result<struct stat> movable(const std::string& path, const Place& place) const;
    Result<void> make_parents(const std::string& path) const;
    [[nodiscard]] FileEntry entry_of(int directory, const std::string& folder, const std::string& name,
                                     const struct stat& status) const;
    Result<UniqueFd> enter(int directory, const std::string& path, const std::string& name) const;

    UniqueFd root_;
    uid_t base_;
    const char* field_;
    Habits habits_;
};

}  // namespace hutch::daemon
