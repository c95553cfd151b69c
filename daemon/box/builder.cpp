#include "daemon/box/builder.h"

#include <fcntl.h>

#include <poll.h>
#include <sys/sysinfo.h>

#include <algorithm>

#include "base/file.h"
#include "base/ids.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "daemon/box/network.h"
#include "daemon/lap.h"
#include "daemon/uid_slots.h"
#include "netns/box_firewall.h"
#include "netns/traffic.h"
#include "overlayfs/mount.h"
#include "overlayfs/upper.h"
#include "runtime/idmap.h"

namespace hutch::daemon {
namespace {

constexpr int kReadyDeadlineMs = 10'000;
constexpr cgroups::Millis kDeathDeadline{1500};

cgroups::Limits limits_of(const Size& size) {
    return {.memory_bytes = size.memory_bytes, .cpus = size.cpus, .pids = kPidsPerBox};
}

uint64_t memory_of_host() {
    struct sysinfo info {};
    return sysinfo(&info) == 0 ? uint64_t{info.totalram} * info.mem_unit : UINT64_MAX;
}

std::string hostname_of(const BoxRecord& box) {
    return box.name.empty() ? box.id : box.name.substr(0, 63);
}

// Init writes a few files at each start, since the address may be another one: of a full box too, which only who starts
// it can clean.
constexpr uint64_t kStartMargin = 64 << 20;

// An image that is being built may become as large as any box.
Result<void> limit_disk(Mechanisms& mechanisms, const BoxRecord& box, uint64_t most, uint64_t margin) {
    const Size* size = find_size(box.internal ? "large" : box.size);
    const overlayfs::DiskLimit limit{.bytes = std::min(size->disk_bytes, most) + margin, .inodes = size->disk_inodes};
    TRY_IN("limiting its disk", overlayfs::limit_upper(mechanisms.store, box.id, limit));
    return {};
}

// /proc/PID/root leads into the box's mount namespace: what is opened through it sees the box's own mounts.
Result<UniqueFd> open_root(int64_t pid) {
    return open_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/root", O_PATH | O_DIRECTORY);
}

}  // namespace

Result<int64_t> start_time_of(int64_t pid) {
    const std::string stat = TRY(read_file_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat"));
    size_t at = stat.rfind(')');  // the name before it may hold anything
    for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
    if (at == std::string::npos) return errno_error("reading the start time of " + std::to_string(pid), EPROTO);
    return std::stoll(stat.substr(at + 1));
}

Result<void> set_policy(const Mechanisms& mechanisms, int netns, netns::Ipv4 address, const netns::Policy& policy) {
    const netns::Policy old = mechanisms.policies->of(address);
    Undo reopen([&] { (void)netns::set_box_policy(netns, mechanisms.network, old); });
    const auto inside = netns::set_box_policy(netns, mechanisms.network, policy);
    if (!inside.ok() && inside.error().code != ESRCH) return inside;  // whose processes are gone sends nothing
    TRY(mechanisms.policies->set(address, policy));
    reopen.commit();
    return {};
}

Result<Prepared> prepare_life(Mechanisms& mechanisms, const BoxRecord& box, Upper upper, BuildTimes& times) {
    const Size* size = find_size(box.size);
    if (size == nullptr) return invalid("size: \"" + box.size + "\" is not known to this daemon");
    const uid_t base = UidSlots::base_of(box.uid_slot);
    Lap lap;
    if (upper == Upper::kFresh) {
        TRY_IN("making its upper",
               overlayfs::make_upper(mechanisms.store, box.id, box.layers, mechanisms.spares.get()));
    }
    Undo discard_upper([&] {
        if (upper == Upper::kFresh) (void)overlayfs::discard_upper(mechanisms.store, box.id);
    });
    TRY(limit_disk(mechanisms, box, UINT64_MAX, kStartMargin));
    lap.to(times.upper);
    const auto nesting = box.nesting ? runtime::Nesting::kAllowed : runtime::Nesting::kRefused;
    const UniqueFd userns = TRY(runtime::make_user_namespace(base, nesting, UidSlots::high_base_of(box.uid_slot)));
    lap.to(times.user_namespace);

    netns::Slot slot = TRY_IN("taking a network slot", mechanisms.slots->take());
    Undo give_slot_back([&] {
        slot.netns.reset();
        mechanisms.slots->release(slot.address);
    });
    lap.to(times.slot);

    const UniqueFd root = TRY_IN("mounting its file system",
                                 overlayfs::mount_box(mechanisms.store, box.layers, box.id, userns.get(), base));
    lap.to(times.mount);

    TRY(mechanisms.cgroups.ensure_customer(
        box.customer, box.customer == kLocalCustomer ? cgroups::Sums() : mechanisms.customer_sums));
    cgroups::Group group =
        TRY_IN("making its control group", mechanisms.cgroups.create(box.id, limits_of(*size), base, box.customer));
    Undo remove_group([&] {
        (void)kill_life(mechanisms, box, std::nullopt);
        (void)mechanisms.cgroups.remove(box.id);
    });
    const cgroups::Leaf leaf = TRY(group.make_leaf("init", base));
    const std::vector<UniqueFd> tasks = TRY(group.open_v1_tasks());
    std::vector<int> task_fds;
    for (const UniqueFd& file : tasks) task_fds.push_back(file.get());
    const cgroups::Views views = TRY(group.views());
    lap.to(times.group);

    const runtime::SpawnPlan plan{.group = group.fd(),
                                  .leaf = leaf.fd(),
                                  .tasks = task_fds,
                                  .netns = slot.netns.get(),
                                  .userns = userns.get(),
                                  .root = root.get(),
                                  .sysfs = slot.sysfs.get(),
                                  .unified_view = views.unified.get(),
                                  .memory_view = views.memory.get(),
                                  .cpu_view = views.cpu.get(),
                                  .cpuset_view = views.cpuset.get(),
                                  .cpuacct_view = views.cpuacct.get(),
                                  .hostname = hostname_of(box),
                                  .address = netns::to_string(slot.address),
                                  .nameserver = netns::to_string(mechanisms.network.gateway()),
                                  .shm_bytes = size->memory_bytes / 2,
                                  .memory_bytes = std::min(size->memory_bytes, memory_of_host()),
                                  .cpus = size->cpus,
                                  .pids = kPidsPerBox,
                                  .nesting = nesting};
    runtime::Spawned init = TRY_IN("starting its init", mechanisms.launcher.spawn(plan));
    lap.to(times.spawn);

    slot.sysfs.reset();  // init has it
    remove_group.commit();
    give_slot_back.commit();
    discard_upper.commit();
    return Prepared{std::move(group), std::move(init), std::move(slot), upper};
}

void drop_prepared(Mechanisms& mechanisms, const BoxRecord& box, Prepared prepared) {
    sys_pidfd_send_signal(prepared.init.pidfd.get(), SIGKILL);
    runtime::reap(prepared.init.pidfd.get());
    (void)kill_life(mechanisms, box, std::nullopt);
    (void)mechanisms.cgroups.remove(box.id);
    prepared.slot.netns.reset();
    (void)mechanisms.policies->lift(prepared.slot.address);  // what is left of it goes when the address is given again
    mechanisms.slots->release(prepared.slot.address);
    if (prepared.upper == Upper::kFresh) (void)overlayfs::discard_upper(mechanisms.store, box.id);
}

Result<Life> finish_life(Mechanisms& mechanisms, const BoxRecord& box, Prepared prepared, uint64_t most_disk,
                         BuildTimes& times) {
    Undo drop([&] { drop_prepared(mechanisms, box, std::move(prepared)); });
    Lap lap;
    const netns::Ipv4 address = prepared.slot.address;
    mechanisms.names->forget(address);  // what another box with it found
    const netns::Policy policy = firewall_policy(box);
    if (policy.is_default()) {
        TRY(mechanisms.policies->set(address, policy));
    } else {
        TRY(set_policy(mechanisms, prepared.slot.netns.get(), address, policy));
    }
    lap.to(times.slot);
    TRY(prepared.init.link.name(hostname_of(box)));
    TRY_IN("its init", prepared.init.link.wait_ready(kReadyDeadlineMs));
    TRY(limit_disk(mechanisms, box, most_disk, 0));
    const int64_t start = TRY(start_time_of(prepared.init.pid));
    UniqueFd inside = TRY(open_root(prepared.init.pid));
    lap.to(times.ready);
    drop.commit();
    return Life{std::move(prepared.group),
                std::move(prepared.init.pidfd),
                prepared.init.pid,
                start,
                std::move(prepared.init.link),
                std::move(inside),
                address,
                {},
                Moment::clock::now()};
}

Result<Life> build_life(Mechanisms& mechanisms, const BoxRecord& box, Upper upper, uint64_t most_disk,
                        BuildTimes& times) {
    return finish_life(mechanisms, box, TRY(prepare_life(mechanisms, box, upper, times)), most_disk, times);
}

namespace {

/// How the kernel says that a process, or its group, is not there: anything else means that nobody could look.
bool is_gone(int code) {
    return code == ESRCH || code == ENOENT || code == ENODEV;
}

Result<std::optional<Life>> look_for_life(Mechanisms& mechanisms, const BoxRecord& box) {
    std::optional<Life> none;
    UniqueFd pidfd(sys_pidfd_open(static_cast<pid_t>(box.init_pid)));
    if (!pidfd && errno == EINVAL) return none;  // a thread's number by now (pidfd_open(2))
    if (!pidfd) return errno_error("opening its init");
    // The pidfd is held now: what is read of /proc after it is of this process, or of none if it ends meanwhile.
    if (TRY(start_time_of(box.init_pid)) != box.init_start) return none;
    UniqueFd control(sys_pidfd_getfd(pidfd.get(), runtime::kPeerFd));
    if (!control && errno == EBADF) return none;  // it ends just now, and has closed its descriptors
    if (!control) return errno_error("taking back the control socket of init");
    cgroups::Group group = TRY(mechanisms.cgroups.reopen(box.id));
    UniqueFd root = TRY(open_root(box.init_pid));
    return std::optional(Life{std::move(group),
                              std::move(pidfd),
                              box.init_pid,
                              box.init_start,
                              runtime::Link(std::move(control)),
                              std::move(root),
                              netns::Ipv4{box.address},
                              {},
                              Moment::clock::now()});
}

}  // namespace

Result<std::optional<Life>> find_life(Mechanisms& mechanisms, const BoxRecord& box) {
    if (box.init_pid == 0) return std::optional<Life>();
    auto found = look_for_life(mechanisms, box);
    if (!found.ok() && is_gone(found.error().code)) return std::optional<Life>();
    return found;
}

Result<void> adopt_life(Life& life) {
    if (TRY(life.group.frozen())) {
        life.sleep.emplace();
    } else {
        TRY(life.group.thaw());
    }
    return {};
}

Result<LifeUse> use_of(const Mechanisms& mechanisms, const cgroups::Group& group, netns::Ipv4 address) {
    const cgroups::Stats stats = TRY(group.stats());
    LifeUse use{{static_cast<int64_t>(stats.cpu_ns)},
                static_cast<int64_t>(stats.memory_peak_bytes),
                static_cast<int64_t>(stats.memory_bytes)};
    auto traffic = netns::traffic_of(mechanisms.network, address);
    if (traffic.ok()) {
        use.counters.sent_bytes = static_cast<int64_t>(traffic->sent_bytes);
        use.counters.received_bytes = static_cast<int64_t>(traffic->received_bytes);
    } else if (traffic.error().code != ENODEV) {
        return traffic.error();
    }
    return use;
}

Result<LifeUse> kill_life(Mechanisms& mechanisms, const BoxRecord& box, std::optional<Life> life) {
    auto group = mechanisms.cgroups.reopen(box.id);
    if (!group.ok()) {
        if (group.error().code == ENOENT) return LifeUse{};
        return std::move(group).error();
    }
    // What cannot be read, of a group that is there only in parts, must not keep it alive.
    const auto before = use_of(mechanisms, *group, netns::Ipv4{box.address});
    TRY(group->kill());
    if (life) {
        // The end of a PID 1 comes after that of everything in its namespace (pid_namespaces(7)). Waiting for it first
        // spares waiting for cgroup.events, which the kernel raises at most once in 10 ms.
        pollfd init{life->pidfd.get(), POLLIN, 0};
        (void)poll(&init, 1, static_cast<int>(kDeathDeadline.count()));
        life.reset();
    }
    TRY(group->wait_empty(kDeathDeadline));
    LifeUse use = before.ok() ? before.value() : LifeUse{};
    use.counters.cpu_ns = static_cast<int64_t>(TRY(group->cpu_ns()));
    return use;
}

}  // namespace hutch::daemon
