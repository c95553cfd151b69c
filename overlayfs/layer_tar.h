#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archives/plain_locale.h"
#include "base/result.h"
#include "base/unique_fd.h"

struct archive;
struct archive_entry;

namespace hutch::overlayfs {

/// Takes the next bytes of an archive; an error ends its making.
using ByteSink = std::function<Result<void>(std::string_view)>;

/// A tar archive (pax) in the form of an OCI image layer (image-spec, layer.md), written entry by entry: modes, owners
/// as they are on disk, times of modification, extended attributes but for overlayfs's own; names any bytes. Sockets,
/// which no archive can hold, are left out; holes become zeros, because few programs unpack a sparse entry. Nothing of
/// the host goes into it: the same files in the same order give the same bytes. On one thread from beginning to end.
class LayerTar {
  public:
    static Result<LayerTar> open(ByteSink sink, std::stop_token stop);

    /// The file `name` of the directory `dir`, as `path` ("" is the root). A regular file that shrinks meanwhile is
    /// filled up with zeros; what is not of this `type` any more is left out. A further name of a regular file that is
    /// in the archive becomes a hard link. kInvalid for a name that would be read as a whiteout.
    Result<void> add(const std::string& path, int dir, const std::string& name, mode_t type);
    /// That a layer below has `path`, and this one not: an empty file called ".wh." and its name.
    Result<void> add_whiteout(const std::string& path);
    /// A directory that is written just before something beneath it is, and not at all if nothing comes. What is added
    /// in between ends that.
    Result<void> hold(const std::string& path, int dir, const std::string& name);
    Result<void> finish();

  private:
    struct Free {
        void operator()(archive_entry* entry) const;
    };
    using Entry = std::unique_ptr<archive_entry, Free>;
    struct Output {
        ByteSink sink;
        std::optional<Error> error{};
    };
    struct Close {
        Output* output;
        void operator()(archive* archive) const;
    };
    struct Held {
        std::string path;
        Entry entry;
    };
    explicit LayerTar(std::stop_token stop) : stop_(std::move(stop)) {}
    static ssize_t write_out(archive* archive, void* output, const void* data, size_t size);
    Result<void> describe(const std::string& path, int dir, const std::string& name, const struct stat& status);
    void link(const std::string& path, const struct stat& status);
    Result<void> add_file(const std::string& path, int dir, const std::string& name, mode_t type);
    void forget_held_beside(const std::string& path);
    Result<void> write_held(const std::string& path);
    Result<void> write_header(archive_entry* entry);
    Result<void> write_content(const UniqueFd& file, uint64_t size);
    [[nodiscard]] Error failure() const;

    std::stop_token stop_;
    std::unique_ptr<archives::PlainLocale> locale_ =
        std::make_unique<archives::PlainLocale>();  // libarchive asks for it as it goes
    std::unique_ptr<Output> output_ = std::make_unique<Output>();
    std::unique_ptr<archive, Close> archive_{nullptr, Close{output_.get()}};
    Entry entry_;
    std::vector<Held> held_;  ///< each in the one before
    /// First path of files of several names; of very many such the last become files of their own.
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;
    size_t linked_bytes_ = 0;
};

}  // namespace hutch::overlayfs
