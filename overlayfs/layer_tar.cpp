#include "overlayfs/layer_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "archives/given_up.h"
#include "base/file.h"
#include "overlayfs/marks.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

constexpr uint64_t kLongest = uint64_t{1} << 40;  // bytes of one file: holes are written as zeros
constexpr size_t kMostLinked = size_t{64} << 20;  // of paths held
constexpr int kPieceOfTar = 64 << 10;             // bytes that the sink is given at a time

/// Whether `path` is in the directory `directory`, at any depth.
bool is_beneath(const std::string& path, const std::string& directory) {
    return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

Error too_long(const std::string& path) {
    return Error{ErrorKind::kTooLarge, 0,
                 "/" + path.substr(0, 100) + "...: a path of more than 4,095 bytes, which nothing could unpack"};
}

}  // namespace

void LayerTar::Close::operator()(archive* archive) const {
    output->sink = [](std::string_view) { return Result<void>(); };
    archives::free_writer(archive);
}

void LayerTar::Free::operator()(archive_entry* entry) const {
    archive_entry_free(entry);
}

Error LayerTar::failure() const {
    if (output_->error) return *output_->error;
    const int code = archive_errno(archive_.get());
    const char* words = archive_error_string(archive_.get());
    return {ErrorKind::kSystem, code > 0 ? code : EIO,
            "writing an archive: " + std::string(words != nullptr ? words : "unknown error")};
}

ssize_t LayerTar::write_out(archive* archive, void* output, const void* data, size_t size) {
    auto& to = *static_cast<Output*>(output);
    auto written = to.sink({static_cast<const char*>(data), size});
    if (written.ok()) return static_cast<ssize_t>(size);
    archive_set_error(archive, EIO, "%s", written.error().message.c_str());
    to.error = std::move(written).error();
    return -1;
}

Result<LayerTar> LayerTar::open(ByteSink sink, std::stop_token stop) {
    LayerTar tar(std::move(stop));
    tar.output_->sink = std::move(sink);
    tar.archive_.reset(archive_write_new());
    tar.entry_.reset(archive_entry_new());
    if (!tar.archive_ || !tar.entry_) return errno_error("beginning an archive", ENOMEM);
    archive* archive = tar.archive_.get();
    // Extended attributes once: the form that all programs read, without libarchive's own beside it.
    if (archive_write_set_format_pax(archive) != ARCHIVE_OK ||
        archive_write_set_options(archive, "pax:xattrheader=SCHILY") != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(archive, kPieceOfTar) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        archive_write_open(archive, tar.output_.get(), nullptr, write_out, nullptr) != ARCHIVE_OK) {
        return tar.failure();
    }
    return tar;
}

Result<void> LayerTar::write_header(archive_entry* entry) {
    // A warning is a name that is no UTF-8: pax says "binary" of it, and keeps its bytes.
    if (archive_write_header(archive_.get(), entry) < ARCHIVE_WARN) return failure();
    return {};
}

void LayerTar::forget_held_beside(const std::string& path) {
    while (!held_.empty() && !is_beneath(path, held_.back().path)) held_.pop_back();
}

Result<void> LayerTar::write_held(const std::string& path) {
    forget_held_beside(path);
    for (const Held& directory : held_) TRY(write_header(directory.entry.get()));
    held_.clear();
    return {};
}

Result<void> LayerTar::add_whiteout(const std::string& path) {
    if (path.size() >= PATH_MAX) return too_long(path);
    TRY(write_held(path));
    const size_t slash = path.rfind('/');
    const size_t name = slash == std::string::npos ? 0 : slash + 1;
    archive_entry_clear(entry_.get());
    archive_entry_copy_pathname(entry_.get(), (path.substr(0, name) + ".wh." + path.substr(name)).c_str());
    archive_entry_set_filetype(entry_.get(), AE_IFREG);
    archive_entry_set_perm(entry_.get(), 0600);
    archive_entry_set_size(entry_.get(), 0);
    return write_header(entry_.get());
}

void LayerTar::link(const std::string& path, const struct stat& status) {
    const std::pair id(status.st_dev, status.st_ino);
    if (const auto first = linked_.find(id); first != linked_.end()) {
        archive_entry_copy_hardlink(entry_.get(), first->second.c_str());
        archive_entry_unset_size(entry_.get());
    } else if (linked_bytes_ + path.size() <= kMostLinked) {
        linked_bytes_ += path.size();
        linked_.emplace(id, path);
    }
}

// Field by field: the rest of a stat (inode, device, other times) is the host's, and pax would tell some of it.
Result<void> LayerTar::describe(const std::string& path, int dir, const std::string& name, const struct stat& status) {
    archive_entry* entry = entry_.get();
    archive_entry_clear(entry);
    archive_entry_copy_pathname(entry, path.empty() ? "." : path.c_str());
    archive_entry_set_mode(entry, status.st_mode);
    archive_entry_set_uid(entry, status.st_uid);
    archive_entry_set_gid(entry, status.st_gid);
    archive_entry_set_mtime(entry, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    archive_entry_set_size(entry, S_ISREG(status.st_mode) ? status.st_size : 0);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) archive_entry_set_rdev(entry, status.st_rdev);
    if (S_ISLNK(status.st_mode)) {
        std::string target(PATH_MAX, '\0');
        const ssize_t size = readlinkat(dir, name.c_str(), target.data(), target.size());
        if (size < 0) return errno_error("reading the link " + name);
        target.resize(static_cast<size_t>(size));
        archive_entry_copy_symlink(entry, target.c_str());
    }
    for (const auto& [xattr, value] : TRY(read_xattrs(dir, name))) {
        if (!is_overlays_own(xattr)) archive_entry_xattr_add_entry(entry, xattr.c_str(), value.data(), value.size());
    }
    if (S_ISREG(status.st_mode) && status.st_nlink > 1) link(path, status);
    return {};
}

Result<void> LayerTar::write_content(const UniqueFd& file, uint64_t size) {
    std::vector<char> buffer(size_t{256} << 10);
    while (size > 0) {
        if (stop_.stop_requested()) return errno_error("reading", ECANCELED);
        const ssize_t got = ::read(file.get(), buffer.data(), std::min<uint64_t>(buffer.size(), size));
        if (got < 0) return errno_error("reading");
        if (got == 0) break;  // what is missing becomes zeros
        if (archive_write_data(archive_.get(), buffer.data(), static_cast<size_t>(got)) < 0) return failure();
        size -= static_cast<uint64_t>(got);
    }
    return {};
}

Result<void> LayerTar::add_file(const std::string& path, int dir, const std::string& name, mode_t type) {
    struct stat status {};
    UniqueFd file;
    if (S_ISREG(type)) {
        file = TRY(open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME));
        if (fstat(file.get(), &status) != 0) return errno_error("looking");
    } else if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno_error("looking");
    }
    if ((status.st_mode & S_IFMT) != type || S_ISSOCK(status.st_mode)) return {};
    if (file && static_cast<uint64_t>(status.st_size) > kLongest) {
        return Error{ErrorKind::kTooLarge, 0, "longer than an archive takes, 1 TiB with its holes"};
    }
    TRY(describe(path, dir, name, status));
    TRY(write_held(path));
    TRY(write_header(entry_.get()));
    if (!file || archive_entry_hardlink(entry_.get()) != nullptr) return {};
    return write_content(file, static_cast<uint64_t>(status.st_size));
}

Result<void> LayerTar::add(const std::string& path, int dir, const std::string& name, mode_t type) {
    if (stop_.stop_requested()) return errno_error("writing an archive", ECANCELED);
    if (path.size() >= PATH_MAX) return too_long(path);
    if (path.starts_with(".wh.") || path.find("/.wh.") != std::string::npos) {
        return invalid("/" + path + ": an archive of a layer cannot hold a file called so; rename it");
    }
    auto added = add_file(path, dir, name, type);
    if (added.ok() || output_->error) return added;
    const int code = added.error().code;
    if (code == ENOENT || code == ELOOP || code == ENXIO || code == EINVAL) return {};  // another file by now, or none
    return std::move(added).error().in("archiving /" + path);
}

Result<void> LayerTar::hold(const std::string& path, int dir, const std::string& name) {
    forget_held_beside(path);
    if (path.size() >= PATH_MAX) return {};  // whatever comes beneath it is refused
    struct stat status {};
    if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return errno_error("looking at /" + path);
    }
    if (!S_ISDIR(status.st_mode)) return {};
    auto described = describe(path, dir, name, status);
    if (!described.ok() && described.error().code == ENOENT) return {};
    TRY(std::move(described));
    held_.push_back({path, Entry(archive_entry_clone(entry_.get()))});
    if (!held_.back().entry) return errno_error("writing an archive", ENOMEM);
    return {};
}

Result<void> LayerTar::finish() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return failure();
    return {};
}

}  // namespace hutch::overlayfs
