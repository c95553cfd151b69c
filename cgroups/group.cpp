#include "cgroups/group.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "cgroups/names.h"
#include "cgroups/reclaim.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

Result<void> make_group_at(const Parent& parent, const std::string& name) {
    if (mkdirat(parent.dir.get(), name.c_str(), 0755) == 0) return {};
    return errno_error("making group " + name + " in " + parent.root);
}

// Detached, so that who is given it can put it where it likes, and no more: what is read-only here cannot be made
// writable in another user namespace (mount_namespaces(7), "locked" flags).
Result<UniqueFd> read_only_mount(int dir, const std::string& name) {
    UniqueFd mount(sys_open_tree(dir, name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!mount) return errno_error("cloning the mount of group " + name);
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    attributes.propagation = MS_PRIVATE;
    if (sys_mount_setattr(mount.get(), "", AT_EMPTY_PATH, attributes) != 0) {
        return errno_error("making the mount of group " + name + " read-only");
    }
    return mount;
}

}  // namespace

Result<Group> Group::create(std::shared_ptr<const Parents> parents, const std::string& name, const Limits& limits,
                            uid_t owner) {
    TRY(make_group_at(parents->unified, name));
    // Undone one by one: a directory that was there before us is not ours to remove.
    size_t v1_made = 0;
    Undo removal([&] {
        for (size_t i = 0; i < v1_made; ++i) (void)remove_group_at(parents->v1[i].dir.get(), name);
        (void)remove_group_at(parents->unified.dir.get(), name);
    });
    for (; v1_made < parents->v1.size(); ++v1_made) TRY(make_group_at(parents->v1[v1_made], name));
    TRY(apply_limits(*parents, name, limits));
    UniqueFd dir = TRY(open_at(parents->unified.dir.get(), name, O_RDONLY | O_DIRECTORY));
    if (fchownat(dir.get(), kProcs, owner, owner, 0) != 0) return errno_error("giving away group " + name);
    removal.commit();
    return Group(std::move(parents), name, std::move(dir));
}

Result<Group> Group::open(std::shared_ptr<const Parents> parents, const std::string& name) {
    UniqueFd dir = TRY(open_at(parents->unified.dir.get(), name, O_RDONLY | O_DIRECTORY));
    return Group(std::move(parents), name, std::move(dir));
}

Result<std::vector<UniqueFd>> Group::open_v1_tasks() const {
    std::vector<UniqueFd> tasks;
    for (const Parent& parent : parents_->v1) {
        tasks.push_back(TRY(open_at(parent.dir.get(), name_ + "/" + kV1Tasks, O_WRONLY)));
    }
    return tasks;
}

Result<Views> Group::views() const {
    Views views;
    const Parents::Home& memory = parents_->home(Controller::kMemory);
    const Parents::Home& cpu = parents_->home(Controller::kCpu);
    if (memory.v1) views.memory = TRY(read_only_mount(memory.dir, name_));
    if (cpu.v1 && cpu.dir != memory.dir) views.cpu = TRY(read_only_mount(cpu.dir, name_));
    if (!memory.v1 && !cpu.v1) {
        views.unified = TRY(read_only_mount(parents_->unified.dir.get(), name_));
        return views;
    }
    if (parents_->cpuset) views.cpuset = TRY(read_only_mount(parents_->cpuset.get(), kV1CloneChildren));
    if (parents_->cpuacct) views.cpuacct = TRY(read_only_mount(parents_->cpuacct.get(), kV1CloneChildren));
    return views;
}

Result<Leaf> Group::make_leaf(const std::string& name, uid_t owner) {
    return TRY_IN("group " + name_, Leaf::create(fd(), name, owner));
}

Result<Leaf> Group::reopen_leaf(const std::string& name) const {
    return TRY_IN("group " + name_, Leaf::open(fd(), name));
}

Result<void> Group::freeze(Millis timeout) {
    Undo thawing([&] { (void)thaw(); });
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    const bool frozen = TRY(try_freeze());
    if (!frozen) TRY_IN("freezing " + name_, wait_for_event(fd(), kFrozen, 1, deadline));
    thawing.commit();
    return {};
}

Result<bool> Group::try_freeze() {
    Undo thawing([&] { (void)thaw(); });
    TRY_IN("freezing " + name_, write_value_at(fd(), kFreeze, "1"));
    const bool frozen = TRY_IN("freezing " + name_, look_for_event(fd(), kFrozen, 1));
    thawing.commit();
    return frozen;
}

Result<uint64_t> Group::tasks() const {
    const int dir = parents_->home(Controller::kPids).dir;
    return TRY_IN("group " + name_, read_number_at(dir, name_ + "/" + kPidsCurrent));
}

Result<bool> Group::frozen() const {
    return TRY_IN("group " + name_, read_value_at(fd(), kEvents, kFrozen)) == 1;
}

Result<void> Group::thaw() {
    TRY_IN("thawing " + name_, write_value_at(fd(), kFreeze, "0"));
    return {};
}

Result<uint64_t> Group::reclaim() {
    return TRY_IN("reclaiming memory of " + name_, reclaim_memory(*parents_, name_));
}

Result<void> Group::kill() {
    TRY_IN("group " + name_, kill_all(fd()));
    return {};
}

Result<void> Group::wait_empty(Millis timeout) {
    TRY_IN("group " + name_, wait_until_empty(fd(), std::chrono::steady_clock::now() + timeout));
    return {};
}

Result<Stats> Group::stats() const {
    return read_stats(*parents_, name_, fd());
}

Result<uint64_t> Group::oom_kills() const {
    return read_oom_kills(*parents_, name_);
}

Result<uint64_t> Group::cpu_ns() const {
    return read_cpu_ns(fd());
}

Result<void> Group::remove() {
    return remove_everywhere(*parents_, name_);
}

Result<void> remove_everywhere(const Parents& parents, const std::string& name) {
    const int unified = parents.unified.dir.get();
    for (const std::string& leaf : TRY(list_groups(unified, name))) TRY(remove_group_at(unified, name + "/" + leaf));
    TRY(remove_group_at(unified, name));
    for (const Parent& parent : parents.v1) TRY(remove_group_at(parent.dir.get(), name));
    return {};
}

}  // namespace hutch::cgroups
