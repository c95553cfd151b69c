#include "overlayfs/change_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "overlayfs/marks.h"
#include "overlayfs/xattrs.h"

namespace hutch::overlayfs {

namespace {

constexpr uint64_t kLongest = uint64_t{1} << 40;  // bytes of one file: holes are written as zeros
constexpr size_t kMostLinked = size_t{64} << 20;  // of paths held

}  // namespace

void ChangeArchive::Free::operator()(archive* archive) const {
    archive_write_fail(archive);  // else it would write the end of an archive that was given up
    archive_write_free(archive);
}

void ChangeArchive::Free::operator()(archive_entry* entry) const {
    archive_entry_free(entry);
}

Error ChangeArchive::failure() const {
    const int code = archive_errno(archive_.get());
    const char* words = archive_error_string(archive_.get());
    return {ErrorKind::kSystem, code > 0 ? code : EIO,
            "writing an archive of changes: " + std::string(words != nullptr ? words : "unknown error")};
}

Result<ChangeArchive> ChangeArchive::open(int fd, std::stop_token stop) {
    ChangeArchive changes(std::move(stop));
    changes.archive_.reset(archive_write_new());
    changes.entry_.reset(archive_entry_new());
    if (!changes.archive_ || !changes.entry_) return errno_error("beginning an archive of changes", ENOMEM);
    archive* archive = changes.archive_.get();
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        archive_write_open_fd(archive, fd) != ARCHIVE_OK) {
        return changes.failure();
    }
    return changes;
}

Result<void> ChangeArchive::write_header() {
    // A warning is a name that is no UTF-8: pax says "binary" of it, and keeps its bytes.
    if (archive_write_header(archive_.get(), entry_.get()) < ARCHIVE_WARN) return failure();
    return {};
}

Result<void> ChangeArchive::add_whiteout(const std::string& path) {
    const size_t slash = path.rfind('/');
    const size_t name = slash == std::string::npos ? 0 : slash + 1;
    archive_entry_clear(entry_.get());
    archive_entry_copy_pathname(entry_.get(), (path.substr(0, name) + ".wh." + path.substr(name)).c_str());
    archive_entry_set_filetype(entry_.get(), AE_IFREG);
    archive_entry_set_perm(entry_.get(), 0600);
    archive_entry_set_size(entry_.get(), 0);
    return write_header();
}

Result<void> ChangeArchive::describe(const Change& change, const struct stat& status) {
    archive_entry* entry = entry_.get();
    archive_entry_clear(entry);
    archive_entry_copy_stat(entry, &status);
    archive_entry_copy_pathname(entry, change.path.empty() ? "." : change.path.c_str());
    if (S_ISLNK(status.st_mode)) {
        std::string target(PATH_MAX, '\0');
        const ssize_t size = readlinkat(change.dir, change.name.c_str(), target.data(), target.size());
        if (size < 0) return errno_error("reading the link " + change.name);
        target.resize(static_cast<size_t>(size));
        archive_entry_copy_symlink(entry, target.c_str());
    }
    for (const auto& [name, value] : TRY(read_xattrs(change.dir, change.name))) {
        if (!is_overlays_own(name)) archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
    }
    if (S_ISREG(status.st_mode) && status.st_nlink > 1) {
        const std::pair id(status.st_dev, status.st_ino);
        if (const auto first = linked_.find(id); first != linked_.end()) {
            archive_entry_copy_hardlink(entry, first->second.c_str());
            archive_entry_unset_size(entry);
        } else if (linked_bytes_ + change.path.size() <= kMostLinked) {
            linked_bytes_ += change.path.size();
            linked_.emplace(id, change.path);
        }
    }
    return {};
}

Result<void> ChangeArchive::write_content(const UniqueFd& file, uint64_t size) {
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

Result<void> ChangeArchive::add(const Change& change) {
    if (change.path.size() >= PATH_MAX) {
        return Error{
            ErrorKind::kTooLarge, 0,
            "/" + change.path.substr(0, 100) + "...: a path of more than 4,095 bytes, which nothing could unpack"};
    }
    if (change.kind == Change::Kind::kDeleted) return add_whiteout(change.path);
    if (change.path.starts_with(".wh.") || change.path.find("/.wh.") != std::string::npos) {
        return invalid("/" + change.path + ": an archive of changes cannot hold a file called so; rename it");
    }
    const auto added = [&]() -> Result<void> {
        struct stat status {};
        UniqueFd file;
        if (S_ISREG(change.type)) {
            file = TRY(open_at(change.dir, change.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
            if (fstat(file.get(), &status) != 0) return errno_error("looking");
        } else if (fstatat(change.dir, change.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno_error("looking");
        }
        if ((status.st_mode & S_IFMT) != change.type || S_ISSOCK(status.st_mode)) return {};
        if (file && static_cast<uint64_t>(status.st_size) > kLongest) {
            return Error{ErrorKind::kTooLarge, 0, "longer than an archive of changes takes, 1 TiB with its holes"};
        }
        TRY(describe(change, status));
        TRY(write_header());
        if (!file || archive_entry_hardlink(entry_.get()) != nullptr) return {};
        return write_content(file, static_cast<uint64_t>(status.st_size));
    }();
    const int code = added.ok() ? 0 : added.error().code;
    if (code == ENOENT || code == ELOOP || code == ENXIO || code == EINVAL) return {};  // another file by now, or none
    if (!added.ok()) return Error(added.error()).in("archiving /" + change.path);
    return {};
}

Result<void> ChangeArchive::finish() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return failure();
    return {};
}

}  // namespace hutch::overlayfs
