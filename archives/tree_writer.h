#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::archives {

struct Owner {
    uid_t uid = 0;
    gid_t gid = 0;
};

/// What an archive says about a file besides its content.
struct Attributes {
    mode_t mode = 0;             ///< the 07777 bits
    std::optional<Owner> owner;  ///< nothing: what is made stays the caller's
    timespec mtime{};
    std::vector<std::pair<std::string, std::string>> xattrs;
};

/// What a tree may come to; beyond it the writer fails with kTooLarge.
struct TreeLimits {
    uint64_t bytes = 0;                    ///< sum of the files' lengths, holes included
    uint64_t entries = 0;                  ///< files, directories and links, implied directories included
    uint64_t names = uint64_t{256} << 20;  ///< bytes of the directories' paths, which are held until the end
};

/// Opens directories of a tree one after the other, with no link followed. Some of those above the last one are kept
/// open, so that the way to one near it is short, however deep both are.
class TreeWalk {
  public:
    explicit TreeWalk(int root, Mounts mounts = Mounts::kEntered) : root_(root), mounts_(mounts) {}
    Result<UniqueFd> open(const std::string& path, int flags);

  private:
    struct Step {
        size_t length;  ///< of its path, which begins `last_`
        UniqueFd directory;
    };
    const int root_;
    const Mounts mounts_;
    std::string last_;
    std::vector<Step> kept_;
};

/// A directory, then all that is in it.
struct TreeOrder {
    bool operator()(const std::string& a, const std::string& b) const;
};

/// What becomes of a file or link that is on the way to an entry.
enum class InTheWay {
    kRefused,   ///< it stays, and the entry is an error: ENOTDIR or ELOOP
    kReplaced,  ///< a directory takes its place
};

/// What becomes of a directory that is there where one is to be made: it gets the new one's attributes, or keeps its
/// own. With the latter a link in that place is kInvalid: what is beneath it would be lost.
enum class Existing { kTaken, kKept };

/// Fills a directory. Paths are as tree_path() answers them; each is walked beneath the root descriptor with no link
/// followed (open_beneath), so whatever earlier entries were, or lay there before, nothing outside is touched. A later
/// file or link takes the place of an earlier one, never of a directory; a directory takes that of either. Directories
/// that are only implied are made 0755. The root's own attributes stay.
class TreeWriter {
  public:
    TreeWriter(int root, const TreeLimits& limits, Mounts mounts = Mounts::kEntered,
               InTheWay in_the_way = InTheWay::kRefused)
        : root_(root), mounts_(mounts), in_the_way_(in_the_way), walk_(root, mounts), limits_(limits) {}

    Result<void> directory(const std::string& path, const Attributes& attributes, Existing existing = Existing::kTaken);
    /// Opens an empty regular file to write to; then close it with finish_file, which sets its attributes.
    Result<UniqueFd> file(const std::string& path);
    Result<void> finish_file(const std::string& path, const UniqueFd& file, const Attributes& attributes);
    Result<void> symlink(const std::string& path, const std::string& target, const Attributes& attributes);
    /// A further name for the file or link at `target`, itself a path of the tree.
    Result<void> hard_link(const std::string& path, const std::string& target);
    /// The directory that an entry at `path` is, or is to be, in; it counts as one entry.
    struct Place {
        UniqueFd parent;
        std::string name;
    };
    Result<Place> place_of(const std::string& path);
    /// Makes the directory where it is only implied.
    Result<void> imply(const std::string& path);
    /// Takes away the file or link at `path`, if there is one.
    Result<void> clear(const std::string& path);
    /// With InTheWay::kReplaced: directories that were made because something is in them, and that no entry has told
    /// of.
    [[nodiscard]] const std::set<std::string, TreeOrder>& implied() const { return implied_; }

    /// Sets the directories' modes, which might have kept us out of them, and times, which every file made in them has
    /// changed. Call it once all is made, and where that broke off too.
    Result<void> finish();

    /// Counts against the limits, before the thing is made or read.
    Result<void> charge_bytes(uint64_t bytes);
    Result<void> charge_entry();
    /// A path that is held until the end.
    Result<void> charge_name(const std::string& path);
    [[nodiscard]] uint64_t bytes() const { return bytes_; }
    [[nodiscard]] uint64_t entries() const { return entries_; }

  private:
    struct Unfinished {
        mode_t mode;
        timespec mtime;
    };
    Result<UniqueFd> open_parent(const std::string& path);
    Result<void> note(const std::string& path, const Attributes& attributes);

    const int root_;
    const Mounts mounts_;
    const InTheWay in_the_way_;
    TreeWalk walk_;
    const TreeLimits limits_;
    uint64_t bytes_ = 0;
    uint64_t entries_ = 0;
    std::map<std::string, Unfinished, TreeOrder> directories_;
    std::set<std::string, TreeOrder> implied_;
    uint64_t noted_ = 0;  ///< bytes of paths that are held
};

}  // namespace hutch::archives
