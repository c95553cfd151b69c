#include "daemon/files/replacement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fs_identity.h"
#include "base/holes.h"
#include "base/ids.h"
#include "daemon/files/file_error.h"

namespace hutch::daemon {
namespace {

constexpr mode_t kKept = 01777;
constexpr size_t kLargestXattrs = 65536;  // XATTR_LIST_MAX and XATTR_SIZE_MAX

// Not security.capability, which each write takes away too.
bool is_kept(std::string_view xattr) {
    return xattr.starts_with("user.") || xattr == "system.posix_acl_access";
}

Result<void> copy_xattrs(int from, int to) {
    std::string names(kLargestXattrs, '\0');
    const ssize_t size = flistxattr(from, names.data(), names.size());
    if (size < 0 && errno == EOPNOTSUPP) return {};
    if (size < 0) return errno_error("listing its attributes");
    for (size_t begin = 0; begin < static_cast<size_t>(size);) {
        const std::string name = names.c_str() + begin;
        begin += name.size() + 1;
        if (!is_kept(name)) continue;
        std::string value(kLargestXattrs, '\0');
        const ssize_t length = fgetxattr(from, name.c_str(), value.data(), value.size());
        if (length < 0 && errno == ENODATA) continue;  // taken away since
        if (length < 0) return errno_error("reading its attribute " + name);
        if (fsetxattr(to, name.c_str(), value.data(), static_cast<size_t>(length), 0) != 0) {
            return errno_error("setting its attribute " + name);
        }
    }
    return {};
}

}  // namespace

Result<Replacement> Replacement::begin(UniqueFd directory, std::string name, uid_t owner, gid_t group,
                                       std::string what) {
    const FsIdentity identity = TRY(FsIdentity::take(owner, group));
    Replacement made;
    made.directory_ = std::move(directory);
    made.name_ = std::move(name);
    made.aside_ = ".hutch-" + random_id();
    made.what_ = std::move(what);
    made.owner_ = owner;
    made.group_ = group;
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    made.file_ = UniqueFd(openat(made.directory_.get(), made.aside_.c_str(), kFlags | O_CLOEXEC, 0644));
    if (!made.file_) return file_error(errno, made.what_);
    const auto prepared = made.resemble_old();
    if (!prepared.ok()) return file_error(prepared.error().code, made.what_);
    return made;
}

Result<void> Replacement::resemble_old() {
    // No FIFO or device is waited for; what is no regular file now was none when it was looked at, or comes too late.
    const auto old = open_at(directory_.get(), name_, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat status {};
    if (!old.ok() && old.error().code == ENOENT) {
        if (fchmod(file_.get(), 0644) != 0) return errno_error("setting its mode");
        return {};
    }
    if (!old.ok()) return old.error();
    if (fstat(old.value().get(), &status) != 0) return errno_error("looking at it");
    if (!S_ISREG(status.st_mode)) return errno_error("replacing it", EEXIST);
    TRY(copy_xattrs(old.value().get(), file_.get()));
    if (fchown(file_.get(), status.st_uid, status.st_gid) != 0) return errno_error("setting its owner");
    if (fchmod(file_.get(), status.st_mode & kKept) != 0) return errno_error("setting its mode");
    return {};
}

Replacement& Replacement::operator=(Replacement&& other) noexcept {
    give_up();
    directory_ = std::move(other.directory_);
    file_ = std::move(other.file_);
    name_ = std::move(other.name_);
    aside_ = std::move(other.aside_);
    what_ = std::move(other.what_);
    owner_ = other.owner_;
    group_ = other.group_;
    mode_ = other.mode_;
    changed_ = other.changed_;
    return *this;
}

Result<void> Replacement::write(std::string_view piece) {
    TRY_IN(what_, write_with_holes(file_.get(), piece));
    return {};
}

Result<void> Replacement::finish() {
    const FsIdentity identity = TRY(FsIdentity::take(owner_, group_));
    const off_t size = lseek(file_.get(), 0, SEEK_CUR);
    if (size < 0 || ftruncate(file_.get(), size) != 0) return file_error(errno, what_);
    if (mode_ && fchmod(file_.get(), *mode_) != 0) return file_error(errno, what_);
    if (changed_) {
        const timespec times[2] = {*changed_, *changed_};
        if (futimens(file_.get(), times) != 0) return file_error(errno, what_);
    }
    const int directory = directory_.get();
    if (renameat(directory, aside_.c_str(), directory, name_.c_str()) != 0) return file_error(errno, what_);
    file_.reset();
    return {};
}

void Replacement::give_up() {
    if (!file_) return;
    (void)unlinkat(directory_.get(), aside_.c_str(), 0);
    file_.reset();
}

}  // namespace hutch::daemon
