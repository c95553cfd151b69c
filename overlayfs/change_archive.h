#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "archives/plain_locale.h"
#include "base/result.h"
#include "overlayfs/diff.h"

struct archive;
struct archive_entry;

namespace hutch::overlayfs {

/// A tar archive (pax) of changes, in the form of an OCI image layer (image-spec, layer.md): what was added or modified
/// as it is now, and for what was deleted an empty file called ".wh." and its name; files that are called so are
/// kInvalid. Owners are the box's own numbers, names any bytes; sockets, which no archive can hold, are left out. On
/// one thread from beginning to end.
class ChangeArchive {
  public:
    /// Goes to `fd`, which stays the caller's.
    static Result<ChangeArchive> open(int fd, std::stop_token stop);
    /// With Change::dir and Change::name as the sink of diff() gets them. A file that shrinks meanwhile is filled up
    /// with zeros; one that is gone is left out.
    Result<void> add(const Change& change);
    Result<void> finish();

  private:
    struct Free {
        void operator()(archive* archive) const;
        void operator()(archive_entry* entry) const;
    };
    explicit ChangeArchive(std::stop_token stop) : stop_(std::move(stop)) {}
    Result<void> add_whiteout(const std::string& path);
    Result<void> describe(const Change& change, const struct stat& status);
    Result<void> write_header();
    Result<void> write_content(const UniqueFd& file, uint64_t size);
    [[nodiscard]] Error failure() const;

    std::stop_token stop_;
    std::unique_ptr<archives::PlainLocale> locale_ =
        std::make_unique<archives::PlainLocale>();  // libarchive asks for it as it goes
    std::unique_ptr<archive, Free> archive_;
    std::unique_ptr<archive_entry, Free> entry_;
    /// First path of files of several names; of very many such the last become files of their own.
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;
    size_t linked_bytes_ = 0;
};

}  // namespace hutch::overlayfs
