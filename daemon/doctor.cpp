#include "daemon/doctor.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "base/syscalls.h"
#include "cgroups/hierarchy.h"
#include "daemon/host_room.h"
#include "daemon/network_names.h"
#include "daemon/uid_slots.h"
#include "netns/firewall.h"
#include "netns/host.h"
#include "netns/netlink.h"
#include "netns/routes.h"
#include "overlayfs/quota.h"
#include "overlayfs/upper.h"
#include "runtime/capabilities.h"
#include "runtime/idmap.h"

namespace hutch::daemon {
namespace {

Finding ok(std::string what) {
    return {FindingLevel::kOk, std::move(what), ""};
}
Finding warning(std::string what, std::string fix) {
    return {FindingLevel::kWarning, std::move(what), std::move(fix)};
}
Finding error(std::string what, std::string fix) {
    return {FindingLevel::kError, std::move(what), std::move(fix)};
}

Finding check_kernel() {
    utsname kernel{};
    uname(&kernel);
    int major = 0;
    int minor = 0;
    if (sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
        return warning(std::string("kernel ") + kernel.release, "use Linux 5.19 or later");
    const std::string what = std::string("kernel ") + kernel.release;
    if (major < 5 || (major == 5 && minor < 19)) {
        return error(what + " is too old: idmapped overlay layers need 5.19", "upgrade the kernel");
    }
    return ok(what);
}

Finding check_privilege() {
    if (geteuid() != 0) return error("not running as root", "start hutchd as root (it is what makes the namespaces)");
    const auto missing = runtime::missing_capabilities();
    if (!missing.ok()) return error("capabilities: " + missing.error().message, "use a kernel with capabilities");
    if (missing.value().empty()) return ok("running as root");
    std::string which;
    for (const runtime::Capability& capability : missing.value()) {
        which += (which.empty() ? "" : "; ") + std::string(capability.name) + ": " + capability.reason;
    }
    return warning("running as root, without " + which,
                   "start hutchd with these capabilities (CapabilityBoundingSet= of its unit)");
}

Finding check_user_namespaces() {
    const auto made = runtime::make_user_namespace(UidSlots::kFirst);
    if (made.ok()) return ok("user namespaces");
    return error("user namespaces: " + made.error().message,
                 "sysctl user.max_user_namespaces=15000, and a kernel with CONFIG_USER_NS");
}

// Settings of some distributions' kernels; where the file is missing, so is what it sets.
Finding check_nesting() {
    const auto is = [](const std::string& setting, char value) {
        const auto text = read_file_at(AT_FDCWD, "/proc/sys/kernel/" + setting);
        return text.ok() && text.value().starts_with(value);
    };
    const std::string off =
        "nesting: this host refuses user namespaces to whoever is not its root, boxes with nesting too";
    if (is("unprivileged_userns_clone", '0')) return warning(off, "sysctl -w kernel.unprivileged_userns_clone=1");
    if (is("apparmor_restrict_unprivileged_userns", '1')) {
        return warning(off, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    }
    if (is("modules_disabled", '0')) {
        return warning("nesting: programs in boxes with it can have the kernel load modules",
                       "sysctl -w kernel.modules_disabled=1 once the host is up, or forbid in /etc/modprobe.d what it "
                       "does not need");
    }
    return ok("nesting: boxes may be made with it");
}

// Two daemons of a version that claimed nothing may share ranges: start says that box by box.
Finding check_user_ids() {
    const auto claims = claimed_uid_slots(UidSlots::kClaims);
    if (!claims.ok() && claims.error().code != ENOENT) return warning("user ids: " + claims.error().message, "mend it");
    std::string what = "user ids: " + std::to_string(UidSlots::kCount) + " ranges for all daemons of this host";
    if (claims.ok()) {
        for (const auto& [name, slots] : claims.value())
            what += ", " + std::to_string(slots.size()) + " of them " + name + "'s";
    }
    return ok(std::move(what));
}

Finding check_overlay() {
    const UniqueFd overlay(sys_fsopen("overlay", FSOPEN_CLOEXEC));
    if (overlay) return ok("overlayfs");
    return error("overlayfs: " + errno_error("fsopen").message, "modprobe overlay");
}

Finding check_seccomp() {
    const auto actions = read_file_at(AT_FDCWD, "/proc/sys/kernel/seccomp/actions_avail");
    if (actions.ok() && actions.value().find("errno") != std::string::npos) return ok("seccomp filters");
    return error("the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER");
}

Finding check_cgroups(const Config& config) {
    auto hierarchy = cgroups::Hierarchy::open(config.name + "-doctor");  // not the daemon's own: it goes again
    if (hierarchy.ok()) {
        const std::string described = hierarchy->describe();
        const auto removed = hierarchy->remove_parent();
        if (removed.ok()) return ok("control groups: " + described);
        return warning("control groups: " + removed.error().message, "remove it with rmdir");
    }
    return error("control groups: " + hierarchy.error().message,
                 "mount cgroup2 (on systemd hosts: boot with systemd.unified_cgroup_hierarchy=1)");
}

void check_host_room(std::vector<Finding>& findings) {
    const auto found = host_room();
    if (!found.ok()) return findings.push_back(warning("the host's room: " + found.error().message, "mount /proc"));
    const HostRoom& room = found.value();
    const auto enough = check_room(room);
    if (!enough.ok()) findings.push_back(warning(enough.error().message, "until then no box is made"));
    constexpr int64_t kFull = 16LL * kPidsPerBox;
    const std::string tasks = "processes: the host may have " + std::to_string(room.most_tasks);
    const std::string boxes = std::to_string(room.most_tasks / kPidsPerBox) + " boxes that each have all they may";
    if (room.most_tasks < kFull) {
        findings.push_back(warning(tasks + ", which are used up by " + boxes,
                                   "sysctl -w kernel.pid_max=4194304, and kernel.threads-max if that is lower"));
    } else {
        findings.push_back(ok(tasks + ", enough for " + boxes));
    }
    const auto small = static_cast<int64_t>(find_size("small")->memory_bytes);
    findings.push_back(
        ok("memory: enough for " + std::to_string(room.memory_bytes / small) +
           " small boxes that each use all of theirs; when more do, the kernel ends processes of boxes"));
}

// What of the path is there.
std::string nearest(std::string path) {
    while (access(path.c_str(), F_OK) != 0 && path.size() > 1) {
        path = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
    }
    return path;
}

Finding check_file_system(const Config& config) {
    struct statfs system {};
    (void)statfs(nearest(config.state_dir).c_str(), &system);
    constexpr long kOverlay = 0x794c7630;
    constexpr long kNfs = 0x6969;
    constexpr long kFuse = 0x65735546;
    const auto type = static_cast<long>(system.f_type);
    if (type == kOverlay || type == kNfs || type == kFuse) {
        return error(
            config.state_dir + " is on a file system that cannot hold an overlay's upper (overlay, NFS or FUSE)",
            "set state_dir to a directory on ext4, xfs or btrfs");
    }
    const uint64_t free_bytes = static_cast<uint64_t>(system.f_bavail) * static_cast<uint64_t>(system.f_bsize);
    constexpr uint64_t kWanted = 5ULL << 30U;
    if (free_bytes < kWanted) {
        return warning(config.state_dir + " has " + std::to_string(free_bytes >> 20U) + " MiB free",
                       "free some space, or set state_dir to a larger disk");
    }
    return ok(config.state_dir + " has " + std::to_string(free_bytes >> 30U) + " GiB free");
}

Finding check_quota(const Config& config) {
    const auto at = open_at(AT_FDCWD, nearest(config.store_dir()), O_RDONLY | O_DIRECTORY);
    if (!at.ok()) return warning("disk quota: " + at.error().message, "mend state_dir");
    switch (overlayfs::quota_of_uppers(at.value().get())) {
        case overlayfs::Quota::kProject:
            return ok("disk quota: boxes are limited by project quota");
        case overlayfs::Quota::kQgroup:
            return ok("disk quota: boxes are limited by btrfs qgroups");
        case overlayfs::Quota::kNone:
            break;
    }
    // Only the daemon sees it mounted.
    if (access(config.store_file().c_str(), F_OK) == 0) return ok("disk quota: the store is a btrfs of its own");
    return warning("disk quota: the file system of " + config.state_dir + " holds no box to one; a box can fill it",
                   "mount it with prjquota (ext4, xfs), or start with an empty store and store_size set, e.g. to 50G");
}

Finding check_firewall(const netns::Config& network) {
    const std::string table = "the firewall table inet " + network.table;
    const auto state = netns::look_at_firewall(network);
    if (!state.ok()) return error(state.error().message, "use a kernel with CONFIG_NF_TABLES");
    const std::string fix = "systemctl restart hutchd: it puts the table in place, and back whenever others change it";
    switch (state.value()) {
        case netns::FirewallState::kWhole:
            return ok(table + " is as it must be");
        case netns::FirewallState::kChanged:
            return error(table + " was changed by others, or is of another version of hutchd", fix);
        case netns::FirewallState::kAbsent:
            break;
    }
    if (is_running(network.table)) return error(table + " was removed by others", fix);
    return ok(table + " is made by hutchd at its start");
}

void check_intruders(const netns::Config& network, std::vector<Finding>& findings) {
    const auto intruders = netns::find_intruders(network);
    if (!intruders.ok()) return findings.push_back(error(intruders.error().message, "see whether nft(8) works"));
    if (intruders.value().empty()) {
        return findings.push_back(ok("no other hutchd has anything of " + to_string(network.range)));
    }
    for (const netns::Intruder& intruder : intruders.value()) {
        findings.push_back(error(
            intruder.what + ", of a hutchd called " + intruder.name + ", closes boxes' gateway",
            is_running(intruder.name) ? "give one of the two another --network" : "remove it: " + intruder.remove));
    }
}

void check_network(const Config& config, std::vector<Finding>& findings) {
    const auto forwarding = netns::forwarding_enabled();
    if (forwarding.ok() && forwarding.value()) {
        findings.push_back(ok("IP forwarding is on"));
    } else {
        findings.push_back(warning("IP forwarding is off",
                                   "hutchd turns it on at its start; for good: sysctl -w net.ipv4.ip_forward=1"));
    }
    const auto known = network_of(config);
    if (!known.ok()) return findings.push_back(error(known.error().message, "mend the option"));
    const netns::Config& network = known.value();
    findings.push_back(check_firewall(network));
    check_intruders(network, findings);
    const auto drops = netns::foreign_forward_drops(network);
    if (!drops.ok()) {
        findings.push_back(error("nftables: " + drops.error().message, "use a kernel with CONFIG_NF_TABLES"));
    } else if (drops.value().empty()) {
        findings.push_back(ok("no other firewall drops forwarded packets"));
    }
    for (const std::string& chain : drops.ok() ? drops.value() : std::vector<std::string>()) {
        findings.push_back(warning(chain + " drops what it does not know, boxes' packets too (Docker sets this)",
                                   "iptables -I DOCKER-USER -i '" + config.name +
                                       "-+' -j ACCEPT; iptables -I DOCKER-USER -o '" + config.name + "-+' -j ACCEPT"));
    }
    const auto socket = netns::Netlink::open();
    const auto way =
        socket.ok() ? netns::way_out(socket.value()) : Result<std::optional<netns::WayOut>>(socket.error());
    if (!way.ok() || !way.value()) {
        findings.push_back(
            warning("no route to the Internet", "boxes will have no network until the host has a default route"));
    } else {
        findings.push_back(ok("the way out is " + way.value()->link + ", MTU " + std::to_string(way.value()->mtu)));
    }
}

}  // namespace

const char* name_of(FindingLevel level) {
    switch (level) {
        case FindingLevel::kOk:
            return "ok";
        case FindingLevel::kWarning:
            return "warning";
        case FindingLevel::kError:
            return "error";
    }
    return "error";
}

std::vector<Finding> examine_host(const Config& config) {
    std::vector<Finding> findings = {check_kernel(), check_privilege()};
    if (geteuid() != 0) return findings;  // the rest can only be tried as root
    findings.push_back(check_user_namespaces());
    if (config.allow_nesting) findings.push_back(check_nesting());
    findings.push_back(check_user_ids());
    findings.push_back(check_overlay());
    findings.push_back(check_seccomp());
    findings.push_back(check_cgroups(config));
    check_host_room(findings);
    findings.push_back(check_file_system(config));
    findings.push_back(check_quota(config));
    check_network(config, findings);
    return findings;
}

}  // namespace hutch::daemon
