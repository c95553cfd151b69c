// What the box shows of the machine it runs on: one of the box's own size, so that programs which ask before they take
// do not take what they will be killed for. Its own control group is read-only, and it is the only one there is.
//
//   /sys/fs/cgroup    unified host: the box's group itself
//                     else: memory/ and cpu/, the box's v1 groups, and beside them the names that v2 has for the same;
//                     cpuset and cpuacct, for who looks in mountinfo whether they are there
//   /proc/meminfo     the size; what is in use is in the control group alone, since a file does not change by itself
//   /proc/cgroups     the kernel's counts all groups of the host, and so the boxes that are there

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/init/init.h"
#include "runtime/init/mounts.h"

namespace hutch::runtime::init {
namespace {

// On the empty root that goes with the cradle: what is shown of it are clones of its parts.
constexpr char kStage[] = "/machine";

bool write_file(int dir, const char* name, const char* text) {
    const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0) return false;
    const auto size = static_cast<ssize_t>(strlen(text));
    const bool done = write(fd, text, static_cast<size_t>(size)) == size;
    close(fd);
    return done;
}

bool write_meminfo(int dir, uint64_t bytes) {
    char text[512];
    const unsigned long long kib = bytes >> 10U;
    snprintf(text, sizeof(text),
             "MemTotal:       %8llu kB\nMemFree:        %8llu kB\nMemAvailable:   %8llu kB\n"
             "Buffers:               0 kB\nCached:                0 kB\nSwapCached:            0 kB\n"
             "Active:                0 kB\nInactive:              0 kB\nSwapTotal:             0 kB\n"
             "SwapFree:              0 kB\nShmem:                 0 kB\nSReclaimable:          0 kB\n",
             kib, kib, kib);
    return write_file(dir, "meminfo", text);
}

// As the kernel says it, but for the numbers of groups.
bool write_controllers(int dir) {
    char said[2048];
    char text[2048] = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";
    const int fd = open("/proc/cgroups", O_RDONLY | O_CLOEXEC);  // of the cradle
    if (fd < 0) return errno == ENOENT;
    const ssize_t got = read(fd, said, sizeof(said) - 1);
    close(fd);
    if (got < 0) return false;
    said[got] = '\0';
    size_t size = strlen(text);
    for (const char* line = strchr(said, '\n'); line != nullptr && size < sizeof(text); line = strchr(line + 1, '\n')) {
        char name[32];
        unsigned hierarchy = 0;
        unsigned enabled = 0;
        if (sscanf(line + 1, "%31s %u %*u %u", name, &hierarchy, &enabled) != 3) break;
        size += static_cast<size_t>(
            snprintf(text + size, sizeof(text) - size, "%s\t%u\t1\t%u\n", name, hierarchy, enabled));
    }
    return write_file(dir, "cgroups", text);
}

bool write_online(int dir, uint32_t cpus) {
    char text[24];
    snprintf(text, sizeof(text), cpus == 1 ? "0\n" : "0-%u\n", cpus - 1);
    return write_file(dir, "online", text);
}

// The names that v2 has: of what v1 counts, links to its files, whose words are the same.
bool write_limits(int dir, const Setup& setup) {
    char text[48];
    snprintf(text, sizeof(text), "%u 100000\n", setup.cpus * 100'000);
    if (!write_file(dir, "cpu.max", text)) return false;
    snprintf(text, sizeof(text), "%u\n", setup.pids);
    return write_file(dir, "pids.max", text) && write_file(dir, "cgroup.controllers", "cpu memory pids\n") &&
           write_file(dir, "memory.swap.max", "0\n") && mkdirat(dir, "memory", 0555) == 0 &&
           mkdirat(dir, "cpu", 0555) == 0 && symlinkat("memory/memory.limit_in_bytes", dir, "memory.max") == 0 &&
           symlinkat("memory/memory.usage_in_bytes", dir, "memory.current") == 0 &&
           symlinkat("memory/memory.max_usage_in_bytes", dir, "memory.peak") == 0;
}

bool fill(int dir, const Setup& setup, bool v1) {
    if (!write_meminfo(dir, setup.memory_bytes) || !write_controllers(dir)) return false;
    if (setup.cpus_shown != 0 && !write_online(dir, setup.cpus_shown)) return false;
    if (mkdirat(dir, "fs", 0555) != 0 || mkdirat(dir, "fs/cgroup", 0555) != 0) return false;
    if (!v1) return true;
    const int groups = openat(dir, "fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool done = groups >= 0 && write_limits(groups, setup) && write_file(groups, "cpuset", "") &&
                      write_file(groups, "cpuacct", "");
    close(groups);
    return done;
}

// Makes the files and puts them on the stage, read-only.
bool set_stage(const Setup& setup, bool v1) {
    const Option options[] = {{"mode", "555"}, {"size", "1m"}, {"nr_inodes", "24"}};
    const int mount = fresh("tmpfs", kNoEverything, options);
    if (mount < 0) return false;
    mount_attr read_only{};
    read_only.attr_set = MOUNT_ATTR_RDONLY;
    const bool done = fill(mount, setup, v1) && sys_mount_setattr(mount, "", AT_EMPTY_PATH, read_only) == 0 &&
                      sys_move_mount(mount, "", AT_FDCWD, kStage, MOVE_MOUNT_F_EMPTY_PATH) == 0;
    close(mount);
    return done;
}

// What is not there needs no other face.
bool cover(int root, const char* path, const char* part) {
    const int target = open_inside(root, path, O_PATH);
    if (target < 0) return errno == ENOENT;
    char from[64];
    snprintf(from, sizeof(from), "%s/%s", kStage, part);
    const int mount = sys_open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    const bool done = mount >= 0 && attach(mount, target);
    close(mount);
    close(target);
    return done;
}

bool put(int view, int root, const char* path) {
    if (view < 0) return true;
    const int target = open_inside(root, path, O_PATH);
    if (target < 0) return errno == ENOENT;  // a kernel's sysfs without a place for groups
    const bool done = attach(view, target);
    close(target);
    return done;
}

}  // namespace

bool show_machine(const Setup& setup, const int* views, int root, const char*& object) {
    const bool v1 = views[kMemoryGroup] >= 0 || views[kCpuGroup] >= 0;
    object = "files of its size";
    if (!set_stage(setup, v1)) return false;
    object = "/proc/meminfo";
    if (!cover(root, "proc/meminfo", "meminfo")) return false;
    object = "/proc/cgroups";
    if (!cover(root, "proc/cgroups", "cgroups")) return false;
    object = "/sys/devices/system/cpu/online";
    if (setup.cpus_shown != 0 && !cover(root, "sys/devices/system/cpu/online", "online")) return false;
    object = "/sys/fs";
    if (!cover(root, "sys/fs", "fs")) return false;
    return put(views[kUnifiedGroup], root, "sys/fs/cgroup") && put(views[kMemoryGroup], root, "sys/fs/cgroup/memory") &&
           put(views[kCpuGroup], root, "sys/fs/cgroup/cpu") && put(views[kCpusetFile], root, "sys/fs/cgroup/cpuset") &&
           put(views[kCpuacctFile], root, "sys/fs/cgroup/cpuacct");
}

}  // namespace hutch::runtime::init
