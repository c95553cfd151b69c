#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/directory.h"
#include "base/ids.h"
#include "base/syscalls.h"

namespace hutch {

Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
    UniqueFd fd(openat(dir, path.c_str(), flags | O_CLOEXEC, mode));
    if (!fd) return errno_error("opening " + path);
    return fd;
}

Result<UniqueFd> open_beneath(int dir, const std::string& path, int flags, Mounts mounts) {
    open_how how{};
    how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    if (mounts == Mounts::kRefused) how.resolve |= RESOLVE_NO_XDEV;
    UniqueFd fd(sys_openat2(dir, path.c_str(), how));
    if (!fd) return errno_error("opening " + path);
    return fd;
}

Result<std::string> read_file_at(int dir, const std::string& path, size_t limit) {
    const UniqueFd fd = TRY(open_at(dir, path, O_RDONLY));
    return read_all(fd.get(), path, limit);
}

Result<std::string> read_all(int fd, const std::string& path, size_t limit) {
    std::string content;
    char buffer[4096];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("reading " + path);
        if (n == 0) return content;
        content.append(buffer, static_cast<size_t>(n));
        if (content.size() > limit) return errno_error("reading " + path, EFBIG);
    }
}

Result<void> write_value_at(int dir, const std::string& path, std::string_view value) {
    const UniqueFd fd = TRY(open_at(dir, path, O_WRONLY));
    if (::write(fd.get(), value.data(), value.size()) < 0) {
        return errno_error("writing \"" + std::string(value) + "\" to " + path);
    }
    return {};
}

Result<UniqueFd> sealed_memory(const char* name, std::string_view content, unsigned flags) {
    const std::string operation = "making the memfd " + std::string(name);
    UniqueFd memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
    if (!memory) return errno_error(operation);
    TRY_IN(operation, write_all(memory.get(), content));
    constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (lseek(memory.get(), 0, SEEK_SET) != 0 || fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
        return errno_error(operation);
    }
    return memory;
}

Result<void> write_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error("writing");
        data.remove_prefix(static_cast<size_t>(n));
    }
    return {};
}

Result<void> make_dirs_at(int dir, const std::string& path, mode_t mode) {
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string prefix = path.substr(0, end);
        if (!prefix.empty() && mkdirat(dir, prefix.c_str(), mode) != 0 && errno != EEXIST) {
            return errno_error("making directory " + prefix);
        }
        if (end == std::string::npos) return {};
    }
}

Result<UniqueFd> make_dirs_beneath(int dir, const std::string& path, mode_t mode) {
    UniqueFd here = TRY(duplicate(dir));
    for (size_t begin = 0; begin < path.size();) {
        const size_t end = std::min(path.find('/', begin), path.size());
        const std::string name = path.substr(begin, end - begin);
        begin = end + 1;
        if (name.empty()) continue;
        if (mkdirat(here.get(), name.c_str(), mode) != 0 && errno != EEXIST) {
            return errno_error("making directory " + path);
        }
        here = TRY_IN("making directory " + path, open_beneath(here.get(), name, O_RDONLY | O_DIRECTORY));
    }
    return here;
}

Result<UniqueFd> duplicate(int fd) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) return errno_error("duplicating a descriptor");
    return copy;
}

namespace {

using Directory = std::unique_ptr<DIR, decltype([](DIR* d) { closedir(d); })>;

Result<Directory> read_directory(UniqueFd fd, const std::string& name) {
    Directory listing(fdopendir(fd.get()));
    if (!listing) return errno_error("listing " + name);
    (void)fd.release();  // closedir owns it now
    return listing;
}

Result<Directory> open_directory(int dir, const std::string& name) {
    return read_directory(TRY(open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)), name);
}

// One that a listing named, and no mount's.
Result<Directory> open_child(int dir, const std::string& name) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    UniqueFd fd(sys_openat2(dir, name.c_str(), how));
    if (!fd) return errno_error("opening " + name);
    return read_directory(std::move(fd), name);
}

}  // namespace

Result<std::vector<std::string>> names_in(int dir) {
    return names_in(dir, SIZE_MAX);
}

Result<std::vector<std::string>> names_in(int dir, size_t most_bytes) {
    const Directory listing = TRY(open_directory(dir, "."));  // its own file, so its own read position
    std::vector<std::string> names;
    size_t length = 0;
    for (;;) {
        errno = 0;
        const dirent* entry = readdir(listing.get());
        if (entry == nullptr && errno != 0) return errno_error("listing a directory");
        if (entry == nullptr) return names;
        std::string name = entry->d_name;
        if (name == "." || name == "..") continue;
        length += name.size();
        if (names_bytes(names.size() + 1, length) > most_bytes) return errno_error("listing a directory", EFBIG);
        names.push_back(std::move(name));
    }
}

Result<bool> holds_nothing(int dir) {
    const Directory listing = TRY(open_directory(dir, "."));
    for (;;) {
        errno = 0;
        const dirent* entry = readdir(listing.get());
        if (entry == nullptr && errno != 0) return errno_error("listing a directory");
        if (entry == nullptr) return true;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") return false;
    }
}

// Walks with an explicit stack, since a hostile tree may be deeper than ours. Open directories are the stack, so
// depth is bounded by RLIMIT_NOFILE; a level beyond that is first renamed up to the top (no path ever grows long).
Result<void> remove_tree_at(int dir, const std::string& name, uint64_t most) {
    if (unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return errno_error("removing " + name);
    struct Level {
        Directory listing;
        std::string name;
    };
    constexpr size_t kMaxDepth = 64;
    std::vector<Level> stack;
    stack.push_back({TRY(open_directory(dir, name)), name});
    uint64_t hoisted = 0;
    uint64_t removed = 0;
    while (!stack.empty()) {
        const int here = dirfd(stack.back().listing.get());
        const dirent* entry = readdir(stack.back().listing.get());
        if (entry == nullptr) {
            const int parent = stack.size() > 1 ? dirfd(stack[stack.size() - 2].listing.get()) : dir;
            const std::string done = stack.back().name;
            if (stack.size() == 1 && hoisted > 0) {  // what was lifted up here may have been missed by the listing
                hoisted = 0;
                rewinddir(stack.back().listing.get());
                continue;
            }
            stack.pop_back();
            if (unlinkat(parent, done.c_str(), AT_REMOVEDIR) != 0) return errno_error("removing directory " + done);
            continue;
        }
        const std::string child = entry->d_name;
        if (child == "." || child == "..") continue;
        if (++removed > most) return errno_error("removing " + child, EFBIG);
        if (unlinkat(here, child.c_str(), 0) == 0) continue;
        if (errno != EISDIR && errno != EPERM) return errno_error("removing " + child);
        if (stack.size() >= kMaxDepth) {
            const std::string lifted = ".lifted-" + random_id();
            ++hoisted;
            if (renameat(here, child.c_str(), dirfd(stack.front().listing.get()), lifted.c_str()) != 0) {
                return errno_error("lifting " + child);
            }
            continue;
        }
        stack.push_back({TRY(open_child(here, child)), child});
    }
    return {};
}

}  // namespace hutch
