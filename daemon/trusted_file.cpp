#include "daemon/trusted_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/file.h"

namespace hutch::daemon {
namespace {

bool is_ours(uid_t owner) {
    return owner == 0 || owner == geteuid();
}

Result<void> check_file(const std::string& path, int file, mode_t forbidden) {
    struct stat status {};
    if (fstat(file, &status) != 0) return errno_error("looking at " + path);
    if (!S_ISREG(status.st_mode)) return invalid(path + " is not a regular file");
    if (!is_ours(status.st_uid)) {
        return invalid(path + " belongs to user " + std::to_string(status.st_uid) + "; chown root it");
    }
    const mode_t open = status.st_mode & forbidden;
    if ((open & kOthersMayWrite) != 0 && forbidden == kOthersMayWrite) {
        return invalid(path + " may be written by others; chmod go-w it");
    }
    if (open != 0) return invalid(path + " is open to others; chmod 600 it");
    return {};
}

// Whoever may rename what is in a directory may put another file in the place of this one.
Result<void> check_directories(const std::string& path) {
    const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), free);
    if (!real) return errno_error("looking at " + path);
    std::string directory = real.get();
    while (directory.size() > 1) {
        directory.resize(std::max<size_t>(directory.rfind('/'), 1));
        struct stat status {};
        if (stat(directory.c_str(), &status) != 0) return errno_error("looking at " + directory);
        if (!is_ours(status.st_uid)) {
            return invalid(path + ": its directory " + directory + " belongs to user " + std::to_string(status.st_uid) +
                           ", who may replace it; move it");
        }
        if ((status.st_mode & kOthersMayWrite) != 0 && (status.st_mode & S_ISVTX) == 0) {
            return invalid(path + ": others may replace it, since they may write in " + directory +
                           "; chmod go-w that directory");
        }
    }
    return {};
}

}  // namespace

Result<std::string> read_trusted(const std::string& path, mode_t forbidden) {
    // A FIFO would keep us waiting.
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    TRY(check_file(path, file.get(), forbidden));
    TRY(check_directories(path));
    return read_all(file.get(), path);
}

}  // namespace hutch::daemon
