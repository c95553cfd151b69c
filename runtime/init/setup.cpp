// From the cradle to a finished box. Every target is resolved beneath the box's root without following any link
// (openat2), since the image may be hostile: /proc, /dev or /sys as symlinks must fail, not lead elsewhere
// (CVE-2019-19921, CVE-2021-30465, CVE-2025-31133). Mounts are made first and attached by descriptor.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "base/syscalls.h"
#include "runtime/init/init.h"
#include "runtime/init/mounts.h"

namespace hutch::runtime::init {
namespace {

template <size_t N>
bool mount_fresh(const char* type, unsigned attributes, const Option (&options)[N], int root, const char* path) {
    const int mount = fresh(type, attributes, options);
    if (mount < 0) return false;
    const bool done = attach_inside(mount, root, path);
    close(mount);
    return done;
}

constexpr Option kNoOptions[] = {{nullptr, nullptr}};

// A namespace within may have a /proc of its own only if some /proc that it can see by its mounts, covered or not, has
// nothing hidden in it (mount_too_revealing() in fs/namespace.c). This one is covered at once, by that of the box:
// there is no way to it, and no way to uncover it without power over the box's mounts, which nobody has in there.
bool mount_whole_proc(int root) {
    const Option tiny[] = {{"mode", "555"}, {"nr_inodes", "2"}};
    if (!mount_fresh("tmpfs", kNoEverything, tiny, root, "proc")) return false;
    return mount_fresh("proc", kNoEverything, kNoOptions, root, "proc/whole");
}

// Of the disk, so that it is as large as that, counts as that, and a rename leads out of it. The image may lack it;
// what the box itself has put in its place is the box's affair.
bool make_tmp(int root) {
    if (mkdirat(root, "tmp", 0755) != 0 && errno != EEXIST) return false;
    const int tmp = open_inside(root, "tmp", O_RDONLY | O_DIRECTORY);
    if (tmp < 0) return errno == ELOOP || errno == ENOTDIR;
    struct stat status {};
    const bool done = fstat(tmp, &status) == 0 && ((status.st_mode & 07777) == 01777 || fchmod(tmp, 01777) == 0);
    close(tmp);
    return done;
}

bool mount_all(int root, int devices, int sysfs, const char* size, Nesting nesting, const char*& object) {
    const Option shm[] = {{"mode", "1777"}, {"size", size}};
    char terminals_at_most[12];
    snprintf(terminals_at_most, sizeof(terminals_at_most), "%u", kTerminalsPerBox);
    const Option pts[] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}, {"max", terminals_at_most}};
    object = "/proc";
    if (nesting == Nesting::kAllowed && !mount_whole_proc(root)) return false;
    if (!mount_fresh("proc", kNoEverything, kNoOptions, root, "proc")) return false;
    object = "/dev";
    if (!attach_inside(devices, root, "dev")) return false;
    object = "/dev/pts";  // every mount of it is an instance of its own
    const int terminals = fresh("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts);
    if (terminals < 0 || !attach_inside(terminals, root, "dev/pts")) return false;
    close(terminals);
    object = "/dev/shm";
    if (!mount_fresh("tmpfs", kNoEverything, shm, root, "dev/shm")) return false;
    object = "/dev/mqueue";
    if (!mount_fresh("mqueue", kNoEverything, kNoOptions, root, "dev/mqueue")) return false;
    object = "/tmp";
    if (!make_tmp(root)) return false;
    object = "/sys";
    return sysfs < 0 || attach_inside(sysfs, root, "sys");
}

// Covers files with /dev/null and directories with an empty one.
class Masks {
  public:
    bool open(int root) {
        root_ = root;
        const Option tiny[] = {{"mode", "555"}, {"nr_inodes", "1"}};
        null_.mount = sys_open_tree(root, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        empty_.mount = fresh("tmpfs", kNoEverything | MOUNT_ATTR_RDONLY, tiny);
        return null_.mount >= 0 && empty_.mount >= 0;
    }
    ~Masks() {
        close(null_.mount);
        close(empty_.mount);
    }
    // What is not there needs no hiding.
    bool hide(const char* path) {
        const int target = open_inside(root_, path, O_PATH);
        if (target < 0) return errno == ENOENT;
        struct stat status {};
        const bool done = fstat(target, &status) == 0 && cover(target, S_ISDIR(status.st_mode) ? empty_ : null_);
        close(target);
        return done;
    }

  private:
    struct Cover {
        int mount = -1;
        bool used = false;
    };
    // The first use attaches the mount itself, later ones clones of it where it stands (a detached one cannot be
    // cloned before Linux 6.15).
    static bool cover(int target, Cover& with) {
        if (!with.used) return with.used = attach(with.mount, target);
        const int mount = sys_open_tree(with.mount, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        const bool done = mount >= 0 && attach(mount, target);
        close(mount);
        return done;
    }

    int root_ = -1;
    Cover null_, empty_;
};

bool exists(int root, const char* path) {
    const int found = open_inside(root, path, O_PATH);
    if (found >= 0) close(found);
    return found >= 0;
}

// Each CPU of real Intel hardware counts how often it was too hot, which tells what others do on it.
bool mask_heat(int root, Masks& masks) {
    if (!exists(root, "sys/devices/system/cpu/cpu0/thermal_throttle")) return true;  // then no CPU has it
    char path[64];
    const auto path_of = [&path](unsigned cpu, const char* what) {
        snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%u%s", cpu, what);
        return path;
    };
    for (unsigned cpu = 0; exists(root, path_of(cpu, "")); ++cpu) {
        if (!masks.hide(path_of(cpu, "/thermal_throttle"))) return false;
    }
    return true;
}

// Hides what tells about the host or reaches its kernel. What this host does not have needs no hiding.
bool mask_all(int root, const char*& object) {
    static const char* const kHidden[] = {
        "proc/acpi",
        "proc/asound",
        "proc/interrupts",
        "proc/kcore",
        "proc/keys",
        "proc/key-users",
        "proc/kmsg",
        "proc/kpagecount",
        "proc/kpageflags",
        "proc/kpagecgroup",
        "proc/latency_stats",
        "proc/sched_debug",
        "proc/scsi",
        "proc/softirqs",
        "proc/swaps",
        "proc/sysrq-trigger",
        "proc/timer_list",
        "proc/timer_stats",
        "sys/devices/virtual/block",  // a loop device tells the path of its file; links in sys/block lead there
        "sys/devices/virtual/powercap",
        "sys/firmware",
        "sys/kernel",
    };
    Masks masks;
    object = "an empty directory";
    if (!masks.open(root)) return false;
    for (const char* path : kHidden) {
        object = path;
        if (!masks.hide(path)) return false;
    }
    object = "thermal_throttle";
    return mask_heat(root, masks);
}

// /proc/sys and friends stay readable.
bool write_protect(int root, const char*& object) {
    for (const char* path : {"proc/bus", "proc/fs", "proc/irq", "proc/sys"}) {
        object = path;
        const int target = open_inside(root, path, O_PATH | O_DIRECTORY);
        if (target < 0) {
            if (errno == ENOENT) continue;
            return false;
        }
        const int mount = sys_open_tree(target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        mount_attr read_only{};
        read_only.attr_set = MOUNT_ATTR_RDONLY | kNoEverything;
        if (mount < 0 || sys_mount_setattr(mount, "", AT_EMPTY_PATH, read_only) != 0 || !attach(mount, target)) {
            return false;
        }
        close(mount);
        close(target);
    }
    return true;
}

bool enter(const char*& object) {
    object = "/";
    if (sys_pivot_root(".", ".") != 0) return false;  // the old root is now stacked on the new one
    return sys_umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

// Out of the bounding set, so no exec brings one back (runtime/capabilities.cpp says what is kept and why). Init itself
// keeps CAP_SYS_ADMIN in its permitted set: adding a seccomp program without no_new_privs asks for it.
bool drop_capabilities(uint64_t kept) {
    for (unsigned capability = 0; capability <= 63; ++capability) {
        if ((kept & (1ULL << capability)) != 0) continue;
        if (prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EINVAL) return false;  // EINVAL: past the last one
    }
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
}

// What nobody has asked for yet waits here.
const Name* receive_name() {
    static Packet packet;  // zero pages until touched
    if (!receive(packet)) return nullptr;
    const Name* name = reinterpret_cast<const Name*>(packet.bytes);
    const bool whole = packet.size == sizeof(Name) && name->type == MessageType::kName;
    if (whole && memchr(name->hostname, '\0', sizeof(name->hostname)) != nullptr) return name;
    errno = EPROTO;
    return nullptr;
}

}  // namespace

bool set_up(const Packet& packet, Context& context, Reply& failed) {
    const auto fail = [&failed](Stage stage, const char* object) {
        failed = failure(stage, object);
        return false;
    };
    const Setup& setup = *reinterpret_cast<const Setup*>(packet.bytes);
    const size_t filters = (size_t{setup.box_filter} + setup.run_filter) * sizeof(sock_filter);
    if (packet.size < sizeof(Setup) || setup.type != MessageType::kSetup || setup.version != kProtocolVersion ||
        setup.box_filter > kMaxFilter || setup.run_filter > kMaxRunFilter || packet.size != sizeof(Setup) + filters ||
        packet.fd_count != 2 + static_cast<size_t>(__builtin_popcount(setup.views)) || (setup.views >> kViews) != 0) {
        errno = EPROTO;
        return fail(Stage::kReceive, "set-up");
    }
    const char* object = "";
    if (sys_mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fail(Stage::kRoot, "propagation");
    const int root = packet.fds[0];
    const int devices = packet.fds[1];
    if (sys_move_mount(root, "", AT_FDCWD, "/box", MOVE_MOUNT_F_EMPTY_PATH) != 0) return fail(Stage::kRoot, "/box");
    if (fchdir(root) != 0) return fail(Stage::kRoot, "/box");
    char size[24];
    snprintf(size, sizeof(size), "%llu", static_cast<unsigned long long>(setup.shm_bytes));
    const int* next = packet.fds + 2;
    int views[kViews];
    for (size_t i = 0; i < kViews; ++i) views[i] = (setup.views & (1U << i)) != 0 ? *next++ : -1;
    if (!mount_all(root, devices, views[kSysfs], size, setup.nesting, object)) return fail(Stage::kMount, object);
    if (!show_machine(setup, views, root, object)) return fail(Stage::kMachine, object);
    if (!mask_all(root, object)) return fail(Stage::kMask, object);
    if (!write_protect(root, object)) return fail(Stage::kMask, object);
    if (!enter(object)) return fail(Stage::kPivot, object);
    for (size_t i = 0; i < packet.fd_count; ++i) close(packet.fds[i]);
    if (!drop_capabilities(setup.capabilities)) return fail(Stage::kCapabilities, "bounding set");

    umask(022);
    const auto be_called = [&](const char* hostname) {
        if (sethostname(hostname, strlen(hostname)) != 0) return fail(Stage::kHostname, hostname);
        return write_names(setup, hostname, object) || fail(Stage::kEtc, object);
    };
    if (!be_called(setup.hostname)) return false;
    const Name* name = receive_name();
    if (name == nullptr) return fail(Stage::kReceive, "name");
    if (strcmp(name->hostname, setup.hostname) != 0 && !be_called(name->hostname)) return false;

    static sock_filter run_filter[kMaxRunFilter];
    const auto* instructions = reinterpret_cast<const sock_filter*>(packet.bytes + sizeof(Setup));
    memcpy(run_filter, instructions + setup.box_filter, setup.run_filter * sizeof(sock_filter));
    context.run_filter = {static_cast<unsigned short>(setup.run_filter), run_filter};
    sock_fprog box{static_cast<unsigned short>(setup.box_filter), const_cast<sock_filter*>(instructions)};
    if (sys_seccomp(1 /* SECCOMP_SET_MODE_FILTER */, 0, &box) != 0) return fail(Stage::kSeccomp, "");
    return true;
}

}  // namespace hutch::runtime::init
