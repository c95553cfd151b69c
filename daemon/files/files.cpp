#include "daemon/files/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/file.h"
#include "base/fs_identity.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "daemon/files/file_error.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMaxEntries = 100'000;
// What all links of a list may take to be followed. One may take 20 ms: the kernel follows 40 links of 4,095 bytes.
constexpr std::chrono::milliseconds kMostFollowing{1000};

// Of this thread, so that what else the host does counts for nothing.
std::chrono::microseconds cpu_time_used() {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

Result<void> check_path(const std::string& field, const std::string& path) {
    if (path.empty()) return invalid(field + ": must not be empty");
    if (path.find('\0') != std::string::npos) return invalid(field + ": must not contain a NUL character");
    if (path.size() >= 4096) return invalid(field + ": must be shorter than 4096 characters");
    return {};
}

// Refuses what could block, act on the kernel, or is no file of the box: a FIFO, a device, a file of /proc or /sys.
Result<void> check_kind(int fd, const std::string& what, bool directory) {
    struct stat status {};
    struct statfs system {};
    if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) return file_error(errno, what);
    if (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC ||
        system.f_type == CGROUP_SUPER_MAGIC) {
        return invalid(what + " is the kernel's, not a file of the box; read it with a command");
    }
    if (directory ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode)) {
        return invalid(what + " is not a " + (directory ? "directory" : "regular file"));
    }
    return {};
}

}  // namespace

std::string absolute_path(const std::string& path, const Habits& habits) {
    const auto below = [&path](const std::string& directory, size_t begin) {
        return (directory == "/" ? "" : directory) + "/" + path.substr(begin);
    };
    if (path == "~") return habits.home;
    if (path.starts_with("~/")) return below(habits.home, 2);
    if (!path.empty() && path.front() == '/') return path;
    return path.empty() ? habits.folder : below(habits.folder, 0);
}

Result<Files> Files::of(Box& box, const char* field, Habits habits) {
    return Files(TRY(duplicate(box.life().root.get())), box.uid_base(), field, std::move(habits));
}

std::string Files::what(const std::string& path) const {
    return std::string(field_) + ": \"" + path + "\"";
}

Result<UniqueFd> Files::resolve(const std::string& path, int flags, Mounts mounts) const {
    TRY(check_path(field_, path));
    open_how how{};
    how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if ((flags & O_PATH) != 0) how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    if (mounts == Mounts::kRefused) how.resolve |= RESOLVE_NO_XDEV;
    UniqueFd fd(sys_openat2(root_.get(), absolute(path).c_str(), how));
    if (!fd && errno == EXDEV) return invalid(what(path) + " is not on the box's disk; write there with a command");
    if (!fd) return file_error(errno, what(path));
    return fd;
}

Result<UniqueFd> Files::open_for_reading(const std::string& path) const {
    const UniqueFd found = TRY(resolve(path, O_PATH));  // looked at before it is opened: opening alone may block or act
    TRY(check_kind(found.get(), what(path), false));
    UniqueFd fd(open(("/proc/self/fd/" + std::to_string(found.get())).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return file_error(errno, what(path));
    return fd;
}

Result<std::string> Files::read(const std::string& path, uint64_t limit, const Charge& charge) const {
    const UniqueFd fd = TRY(open_for_reading(path));
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return file_error(errno, what(path));
    const size_t expected = std::min(static_cast<uint64_t>(status.st_size), limit);
    if (charge) TRY(charge(expected));  // at once: of many that grow side by side none would come to its end
    std::string content;
    content.reserve(expected + 1);
    char buffer[65536];
    for (;;) {
        const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_error(errno, what(path));
        if (n == 0) return content;
        content.append(buffer, static_cast<size_t>(n));
        if (charge && content.size() > expected) TRY(charge(static_cast<size_t>(n)));
        if (content.size() > limit) {
            return Error{ErrorKind::kTooLarge, 0,
                         what(path) + " holds more than " + std::to_string(limit) + " bytes; use files/download"};
        }
    }
}

Result<std::string> Files::read_part(const std::string& path, uint64_t offset, size_t length,
                                     const Charge& charge) const {
    const UniqueFd fd = TRY(open_for_reading(path));
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return file_error(errno, what(path));
    const auto size = static_cast<uint64_t>(status.st_size);
    std::string content;
    length = std::min<uint64_t>(length, size - std::min(size, offset));
    if (charge) TRY(charge(length));
    content.resize(length);
    for (size_t done = 0; done < length;) {
        const ssize_t n = pread(fd.get(), content.data() + done, length - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_error(errno, what(path));
        if (n == 0) content.resize(length = done);  // it is shorter by now
        done += static_cast<size_t>(n);
    }
    return content;
}

// Each from the one before: from the root, a deep path would cost the square of its depth.
Result<void> Files::make_parents(const std::string& path) const {
    const std::string whole = absolute(path);
    const size_t last = whole.rfind('/');
    if (last == 0 || resolve(whole.substr(0, last), O_PATH | O_DIRECTORY, Mounts::kRefused).ok()) return {};
    UniqueFd directory = TRY(resolve("/", O_PATH | O_DIRECTORY));
    for (size_t begin = 1; begin <= last;) {
        const size_t end = whole.find('/', begin);
        if (end > begin) {
            directory = TRY(enter(directory.get(), whole.substr(0, end), whole.substr(begin, end - begin)));
        }
        begin = end + 1;
    }
    return {};
}

// Makes it where it is missing. Links and ".." lead elsewhere beneath the root: those are resolved from there, and the
// kernel follows at most 40 links of one path.
Result<UniqueFd> Files::enter(int directory, const std::string& path, const std::string& name) const {
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(sys_openat2(directory, name.c_str(), how));
    if (!fd && errno == ENOENT) {
        if (mkdirat(directory, name.c_str(), 0755) != 0 && errno != EEXIST) return file_error(errno, what(path));
        fd = UniqueFd(sys_openat2(directory, name.c_str(), how));
    }
    if (fd) return fd;
    return resolve(path, O_PATH | O_DIRECTORY, Mounts::kRefused);
}

// Where the file is that `found` has open: its path as the box sees it, since the descriptor's mount is the box's.
Result<Files::Place> Files::place_of(const std::string& path, int found) const {
    struct stat seen {};
    struct stat named {};
    char real[4096];
    const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(found)).c_str(), real, sizeof(real));
    if (size < 0 || fstat(found, &seen) != 0) return file_error(errno, what(path));
    const std::string whole(real, static_cast<size_t>(size));
    const size_t slash = std::min(whole.rfind('/'), whole.size());
    auto parent = resolve(slash == 0 ? "/" : whole.substr(0, slash), O_PATH | O_DIRECTORY, Mounts::kRefused);
    const std::string name = whole.substr(std::min(slash + 1, whole.size()));
    const bool there = parent.ok() && fstatat(parent.value().get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there || named.st_dev != seen.st_dev || named.st_ino != seen.st_ino) {
        return Error{ErrorKind::kConflict, 0, what(path) + " is moved or removed meanwhile; try again"};
    }
    return Place{std::move(parent).value(), name};
}

// What is there already is looked at before it is opened: opening a FIFO or a device for writing would block or act.
Result<Replacement> Files::replace(const std::string& path) const {
    TRY(check_path(field_, path));
    if (path.back() == '/') return invalid(what(path) + " names a directory");
    {
        const FsIdentity as_user = TRY(identity());
        TRY(make_parents(path));
    }
    Place place;
    if (const auto found = resolve(path, O_PATH, Mounts::kRefused); found.ok()) {
        TRY(check_kind(found.value().get(), what(path), false));
        place = TRY(place_of(path, found.value().get()));
    } else {
        if (found.error().code != ENOENT) return found.error();
        const std::string whole = absolute(path);
        const size_t slash = whole.rfind('/');
        const std::string parent = slash == 0 ? "/" : whole.substr(0, slash);
        place.directory = TRY(resolve(parent, O_PATH | O_DIRECTORY, Mounts::kRefused));
        place.name = whole.substr(slash + 1);
        struct stat link {};
        if (fstatat(place.directory.get(), place.name.c_str(), &link, AT_SYMLINK_NOFOLLOW) == 0) {
            return invalid(what(path) + " is a link to what is not there; remove it first");
        }
    }
    return Replacement::begin(std::move(place.directory), std::move(place.name), base_ + habits_.uid,
                              base_ + habits_.gid, what(path));
}

Result<void> Files::write(const std::string& path, std::string_view content) const {
    Replacement file = TRY(replace(path));
    TRY(file.write(content));
    return file.finish();
}

Result<Files::Place> Files::entry_at(const std::string& path, Mounts mounts) const {
    TRY(check_path(field_, path));
    std::string whole = absolute(path);
    while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
    const size_t slash = whole.rfind('/');
    std::string name = whole.substr(slash + 1);
    if (name.empty()) return invalid(what(path) + " is the root of the box");
    if (name == "." || name == "..") return invalid(what(path) + " must end with a name");
    auto directory = resolve(slash == 0 ? "/" : whole.substr(0, slash), O_PATH | O_DIRECTORY, mounts);
    if (!directory.ok() && directory.error().code == 0) return directory.error();  // it is not on the disk
    if (!directory.ok()) return file_error(directory.error().code, what(path));
    TRY(check_kind(directory.value().get(), what(path), true));
    return Place{std::move(directory).value(), std::move(name)};
}

Result<UniqueFd> Files::make_directory(const std::string& path) const {
    TRY(check_path(field_, path));
    const FsIdentity as_user = TRY(identity());
    TRY(make_parents(path + "/."));
    UniqueFd found = TRY(resolve(path, O_PATH, Mounts::kRefused));
    TRY(check_kind(found.get(), what(path), true));
    return found;
}

// Its content is the client's, who could upload anything; what is there is the box's, and no link of it is followed.
Result<archives::TarReport> Files::unpack(int directory, int archive,
                                          std::optional<archives::Ownership> ownership) const {
    const FsIdentity as_user = TRY(identity());
    if (ownership) ownership->base = base_;
    const auto pull = archives::pull_from(archive);
    auto report = archives::unpack_copy(pull, directory, "", archives::Modes::kWhole, Mounts::kRefused, ownership);
    if (!report.ok() && report.error().kind == ErrorKind::kSystem && report.error().code != 0) {
        return file_error(report.error().code, report.error().message);
    }
    TRY(report);
    std::string rest(65536, '\0');  // what follows its end is taken too, or the upload would fail
    while (TRY(pull(rest.data(), rest.size())) > 0) {
    }
    return report;
}

// A link stands for what it leads to within the box, as a download of it does.
FileEntry Files::entry_of(int directory, const std::string& folder, const std::string& name,
                          const struct stat& status) const {
    const auto type = [&status]() -> const char* {
        switch (status.st_mode & S_IFMT) {
            case S_IFREG:
                return "file";
            case S_IFDIR:
                return "dir";
            case S_IFLNK:
                return "link";
            case S_IFIFO:
                return "fifo";
            case S_IFSOCK:
                return "socket";
            default:
                return "device";
        }
    };
    FileEntry entry{name, static_cast<uint64_t>(status.st_size), !S_ISREG(status.st_mode), status.st_mtim, type(), {}};
    if (!S_ISLNK(status.st_mode)) return entry;
    char target[4096];
    const ssize_t size = readlinkat(directory, name.c_str(), target, sizeof(target));
    if (size > 0) entry.target.assign(target, static_cast<size_t>(size));
    const std::string path = folder + "/" + name;
    const auto found = resolve(path, O_PATH);
    entry.is_dir = !found.ok() || !check_kind(found.value().get(), what(path), false).ok();
    return entry;
}

Result<bool> Files::is_directory(const std::string& path) const {
    const UniqueFd found = TRY(resolve(path, O_PATH));
    struct stat status {};
    if (fstat(found.get(), &status) != 0) return file_error(errno, what(path));
    return S_ISDIR(status.st_mode);
}

Result<std::vector<FileEntry>> Files::list(const std::string& path, const Charge& charge) const {
    const UniqueFd listed = TRY(resolve(path, O_PATH));
    TRY(check_kind(listed.get(), what(path), true));
    UniqueFd directory(
        open(("/proc/self/fd/" + std::to_string(listed.get())).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return file_error(errno, what(path));
    DIR* listing = fdopendir(directory.get());
    if (listing == nullptr) return file_error(errno, what(path));
    const int fd = directory.release();  // closedir closes it
    const Undo close_listing([listing] { closedir(listing); });
    std::vector<FileEntry> entries;
    std::chrono::microseconds following{};
    while (const dirent* entry = readdir(listing)) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (entries.size() >= kMaxEntries) {
            return Error{ErrorKind::kTooLarge, 0, what(path) + " has more than 100000 entries; list it with a command"};
        }
        struct stat status {};
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
        const bool follows = S_ISLNK(status.st_mode);
        if (follows) following -= cpu_time_used();
        FileEntry found = entry_of(fd, path, name, status);
        if (follows) following += cpu_time_used();
        if (following > kMostFollowing) {
            return Error{ErrorKind::kTooLarge, 0,
                         what(path) + " has links that take long to follow; list it with a command"};
        }
        TRY(charge(sizeof(FileEntry) + name.size() + found.target.size()));
        entries.push_back(std::move(found));
    }
    std::sort(entries.begin(), entries.end(), [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
    return entries;
}

}  // namespace hutch::daemon
