#include "cgroups/parents.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/ids.h"
#include "cgroups/mounts.h"
#include "cgroups/names.h"

namespace hutch::cgroups {
namespace {

Error unsupported(std::string message) {
    return Error{ErrorKind::kUnsupported, 0, std::move(message)};
}

// Whole words only: "cpu" is not in "cpuset cpuacct".
bool has_word(const std::string& text, const std::string& word) {
    const auto separator = [&](size_t at) { return at >= text.size() || text[at] == ' ' || text[at] == '\n'; };
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
        if ((at == 0 || separator(at - 1)) && separator(at + word.size())) return true;
    }
    return false;
}

// The root of a mounted hierarchy; nothing when another mount hides it.
UniqueFd open_root(const Mount& mount) {
    UniqueFd root(open(mount.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto magic = mount.unified ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
    struct statfs status {};
    if (root && (fstatfs(root.get(), &status) != 0 || status.f_type != magic)) root.reset();
    return root;
}

Result<Parent> make_parent(const Mount& mount, int root, const std::string& name) {
    if (mkdirat(root, name.c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error("making group " + mount.path + "/" + name);
    }
    return Parent{mount.path, TRY(open_at(root, name, O_RDONLY | O_DIRECTORY))};
}

// Controllers reach a group only if every group above it passes them on; what is enabled already is left alone.
Result<void> pass_on(int group, const std::string& path, const std::vector<const char*>& controllers) {
    const std::string enabled = TRY(read_file_at(group, kSubtreeControl));
    std::string wanted;
    for (const char* controller : controllers) {
        if (!has_word(enabled, controller)) wanted += std::string(wanted.empty() ? "+" : " +") + controller;
    }
    if (wanted.empty()) return {};
    auto written = write_value_at(group, kSubtreeControl, wanted);
    if (written.ok()) return {};
    Error error = std::move(written).error();
    // cgroup-v2.rst, "No Internal Process Constraint": only the real root may hold processes and pass controllers on.
    if (error.code == EBUSY) error.message += " (processes sit in that group: is this the root of a container?)";
    return std::move(error).in("enabling controllers in " + path);
}

Result<void> place_on_unified(Parents& parents, int root) {
    const std::string available = TRY(read_file_at(root, kControllers));
    std::vector<Controller> here;
    for (const Controller controller : kAllControllers) {
        if (has_word(available, name_of(controller))) here.push_back(controller);
    }
    std::vector<const char*> passed;
    for (const Controller controller : here) passed.push_back(name_of(controller));
    // With it and memory in one group, what a box has written and not yet put to disk is its own, and boxes have equal
    // weights for disks whose scheduler knows weights (cgroup-v2.rst, "Writeback"). v1 has nothing of the kind.
    parents.io = has_word(available, kIo);
    if (parents.io) passed.push_back(kIo);
    const std::string& path = parents.unified.root;
    TRY(pass_on(root, path, passed));
    TRY(pass_on(parents.unified.dir.get(), path + "/" + parents.name, passed));
    for (const Controller controller : here) {
        parents.homes[static_cast<size_t>(controller)] = {parents.unified.dir.get(), false};
    }
    return {};
}

// Several of our controllers may share one mount ("cpu,cpuacct" is common), so each mount is taken once, for all.
Result<void> place_on_v1(Parents& parents, const Mount& mount) {
    std::vector<Controller> here;
    for (const Controller controller : kAllControllers) {
        const auto named = std::find(mount.options.begin(), mount.options.end(), name_of(controller));
        if (named != mount.options.end() && parents.home(controller).dir < 0) here.push_back(controller);
    }
    if (here.empty()) return {};
    const UniqueFd root = open_root(mount);
    if (!root) return {};
    parents.v1.push_back(TRY(make_parent(mount, root.get(), parents.name)));
    for (const Controller controller : here) {
        parents.homes[static_cast<size_t>(controller)] = {parents.v1.back().dir.get(), true};
    }
    return {};
}

void note_others(Parents& parents, const Mount& mount) {
    for (const auto& [name, root] : {std::pair{"cpuset", &parents.cpuset}, std::pair{"cpuacct", &parents.cpuacct}}) {
        const bool here = std::find(mount.options.begin(), mount.options.end(), name) != mount.options.end();
        const bool ours = std::any_of(parents.v1.begin(), parents.v1.end(),
                                      [&mount](const Parent& parent) { return parent.root == mount.path; });
        if (here && !ours && !*root) *root = open_root(mount);
    }
}

Result<UniqueFd> find_unified(const std::vector<Mount>& mounts, Parents& parents) {
    for (const Mount& mount : mounts) {
        if (!mount.unified) continue;
        UniqueFd root = open_root(mount);
        if (!root) continue;
        parents.unified = TRY(make_parent(mount, root.get(), parents.name));
        return root;
    }
    return unsupported("no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified adds one)");
}

}  // namespace

const char* name_of(Controller controller) {
    switch (controller) {
        case Controller::kMemory:
            return "memory";
        case Controller::kPids:
            return "pids";
        case Controller::kCpu:
            return "cpu";
    }
    return "";
}

Result<void> pass_on_all(const Parents& parents, const std::string& name) {
    std::vector<const char*> here;
    for (const Controller controller : kAllControllers) {
        if (!parents.home(controller).v1) here.push_back(name_of(controller));
    }
    if (here.empty()) return {};
    if (parents.io) here.push_back(kIo);
    const UniqueFd group = TRY(open_at(parents.unified.dir.get(), name, O_RDONLY | O_DIRECTORY));
    return pass_on(group.get(), parents.unified.root + "/" + parents.name + "/" + name, here);
}

Result<Parents> make_parents(const std::string& name) {
    if (!is_safe_id(name)) return invalid("\"" + name + "\" cannot name a cgroup");
    Parents parents;
    parents.name = name;
    constexpr size_t kMountinfoLimit = 64 << 20;  // a line for each mount of the host
    const std::vector<Mount> mounts =
        parse_mounts(TRY(read_file_at(AT_FDCWD, "/proc/self/mountinfo", kMountinfoLimit)));
    const UniqueFd root = TRY(find_unified(mounts, parents));
    TRY(place_on_unified(parents, root.get()));
    for (const Mount& mount : mounts) {
        if (mount.unified) continue;
        TRY(place_on_v1(parents, mount));
        note_others(parents, mount);
    }
    for (const Controller controller : kAllControllers) {
        if (parents.home(controller).dir >= 0) continue;
        return unsupported(std::string("the ") + name_of(controller) + " controller is neither in " +
                           parents.unified.root + "/" + kControllers +
                           " nor on a v1 mount (is it disabled on the kernel's command line?)");
    }
    const Parents::Home& memory = parents.home(Controller::kMemory);
    parents.socket_limits = memory.v1 && faccessat(memory.dir, kV1SocketMemoryLimit, F_OK, 0) == 0;
    // The kernel rewrites its own code when the first group counts sockets and when the last one goes: ours, without a
    // limit, is there before the first box and after the last.
    if (parents.socket_limits) TRY(write_value_at(memory.dir, kV1SocketMemoryLimit, "-1"));
    parents.swap_limits = faccessat(memory.dir, memory.v1 ? kV1MemorySwapLimit : kMemorySwapMax, F_OK, 0) == 0;
    return parents;
}

}  // namespace hutch::cgroups
