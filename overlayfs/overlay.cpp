#include "overlayfs/overlay.h"

#include <fcntl.h>

#include <array>
#include <utility>

#include "base/file.h"
#include "base/syscalls.h"

namespace hutch::overlayfs {

namespace {

constexpr std::array<std::pair<const char*, const char*>, 3> kFixedOptions = {
    {{"metacopy", "off"}, {"redirect_dir", "nofollow"}, {"index", "off"}}};
constexpr size_t kOptionPage = 4096;  // copy_mount_options() takes a page at most, with its NUL

/// The kernel's own words ("e overlay: ..."), which a filesystem context holds for its opener.
std::string words_of(int context) {
    char message[512];
    const ssize_t n = ::read(context, message, sizeof(message));
    return n > 0 ? std::string(" (").append(message, static_cast<size_t>(n)) + ")" : "";
}

Result<void> set(int context, const char* key, const std::string& value) {
    if (sys_fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
    const int code = errno;
    return errno_error("setting " + std::string(key) + "=" + value + words_of(context), code);
}

std::string on_one_line(const OverlayDirs& dirs) {
    std::string line = "upperdir=" + dirs.upper + ",workdir=" + dirs.work;
    for (const auto& [key, value] : kFixedOptions) line.append(",").append(key).append("=").append(value);
    line += ",lowerdir=";
    for (const std::string& lower : dirs.lowers) line += lower + ":";
    line.pop_back();
    return line;
}

}  // namespace

bool takes_lowers_one_by_one() {
    // A kernel that knows the option looks the name up at once; one between refuses the option; the oldest keep any
    // text until the mount is made.
    static const bool taken = [] {
        const UniqueFd context(sys_fsopen("overlay", FSOPEN_CLOEXEC));
        return context && sys_fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", "/proc/self/fd/none", 0) != 0 &&
               errno == ENOENT;
    }();
    return taken;
}

Result<UniqueFd> overlay_by_fsconfig(const OverlayDirs& dirs) {
    const UniqueFd context(sys_fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return errno_error("opening an overlay context");
    TRY(set(context.get(), "source", "overlay"));
    for (const std::string& lower : dirs.lowers) TRY(set(context.get(), "lowerdir+", lower));
    TRY(set(context.get(), "upperdir", dirs.upper));
    TRY(set(context.get(), "workdir", dirs.work));
    for (const auto& [key, value] : kFixedOptions) TRY(set(context.get(), key, value));
    if (sys_fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        const int code = errno;
        return errno_error("creating the overlay of " + dirs.upper + words_of(context.get()), code);
    }
    UniqueFd mount(sys_fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV));
    if (!mount) return errno_error("mounting the overlay of " + dirs.upper);
    return mount;
}

Result<UniqueFd> overlay_by_mount(const OverlayDirs& dirs, int dir, const std::string& name) {
    const std::string options = on_one_line(dirs);
    if (options.size() >= kOptionPage) {
        return errno_error(std::to_string(dirs.lowers.size()) + " layers in one mount call", E2BIG);
    }
    const UniqueFd below = TRY(open_at(dir, name, O_PATH | O_DIRECTORY));
    const std::string target = "/proc/self/fd/" + std::to_string(below.get());
    if (sys_mount("overlay", target.c_str(), "overlay", MS_NODEV, options.c_str()) != 0) {
        return errno_error("mounting the overlay of " + dirs.upper);
    }
    // By its name: the walk goes on to what is mounted on top, which `below` is not.
    UniqueFd mount(sys_open_tree(dir, name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    const int code = errno;
    // umount(2), unlike other calls, goes on to the mount on top even from a descriptor.
    if (sys_umount2(target.c_str(), kMntDetach) != 0) return errno_error("taking off the overlay of " + dirs.upper);
    if (!mount) return errno_error("cloning the overlay of " + dirs.upper, code);
    return mount;
}

}  // namespace hutch::overlayfs
