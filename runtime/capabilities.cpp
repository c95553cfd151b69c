#include "runtime/capabilities.h"

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <memory>

namespace hutch::runtime {
namespace {

constexpr Capability kDaemon[] = {
    {"cap_chown", "files of boxes belong to their ids"},
    {"cap_dac_override", "files of boxes are reached whatever their modes; overlayfs writes with the mounter's power"},
    {"cap_fowner", "modes, times and attributes of files that belong to a box"},
    {"cap_fsetid", "set-id bits survive when a layer is copied or unpacked"},
    {"cap_kill", "ends processes of boxes, which have other ids"},
    {"cap_setgid", "id maps of user namespaces, and the child that joins one"},
    {"cap_setuid", "id maps of user namespaces, and the child that joins one"},
    {"cap_net_bind_service", "the name server of boxes (53); a port of the API below 1024"},
    {"cap_net_admin", "links, routes, nftables, traffic control; buffers of control sockets"},
    {"cap_net_broadcast", "hears of what is refused in network namespaces of boxes"},
    {"cap_sys_chroot", "joins mount namespaces (setns(2))"},
    {"cap_sys_ptrace", "takes descriptors and namespaces of inits that an earlier hutchd started (pidfd_getfd(2))"},
    {"cap_sys_admin", "mounts, namespaces, quotas, trusted.overlay attributes, seccomp without no_new_privs"},
    {"cap_sys_resource", "oom_score_adj of the daemon and, so that they cannot lower it again, of boxes (proc(5))"},
    {"cap_mknod", "the harmless devices of boxes"},
    {"cap_setfcap", "file capabilities of images are kept"},
};

// Enough for package managers, sudo and debuggers; nothing that mounts, makes devices or configures.
constexpr Capability kBox[] = {
    {"cap_chown", "package managers"},
    {"cap_dac_override", "package managers"},
    {"cap_fowner", "package managers"},
    {"cap_fsetid", "package managers"},
    {"cap_kill", "ends processes of the box's other users"},
    {"cap_setgid", "su, sudo, services that change their user"},
    {"cap_setuid", "su, sudo, services that change their user"},
    {"cap_setpcap", "services that give up capabilities themselves"},
    {"cap_net_bind_service", "servers on ports below 1024"},
    {"cap_sys_chroot", "debootstrap, sshd"},
    {"cap_setfcap", "packages with file capabilities"},
    {"cap_sys_ptrace", "strace, debuggers and lsof as root; not of init, whose image nobody in the box may read"},
    {"cap_audit_write", "login and sudo write to the audit log, where there is one"},
    // Void: they ask for power over the box's network, which is the host's user namespace's, or over the host. But
    // execve(2) refuses a program whose file asks, effectively, for one that the bounding set lacks; packages set them
    // by postinst.
    {"cap_net_raw", "ping, fping, mtr and arping start"},
    {"cap_net_admin", "dumpcap and gst-ptp-helper start"},
    {"cap_ipc_lock", "gnome-keyring and vault start"},
    {"cap_sys_nice", "clockdiff and kwin start"},
};

struct Free {
    void operator()(cap_t set) const { cap_free(set); }
};
using Set = std::unique_ptr<std::remove_pointer_t<cap_t>, Free>;

Result<Set> sets_of_process() {
    Set set(cap_get_proc());
    if (!set) return errno_error("reading the capabilities of the process");
    return set;
}

bool has(const Set& set, cap_value_t capability, cap_flag_t kind) {
    cap_flag_value_t value = CAP_CLEAR;
    return cap_get_flag(set.get(), capability, kind, &value) == 0 && value == CAP_SET;
}

Result<void> cut_bounding_set(uint64_t kept) {
    for (cap_value_t capability = 0; capability < cap_max_bits(); ++capability) {
        if ((kept >> static_cast<unsigned>(capability) & 1U) != 0 || cap_get_bound(capability) != 1) continue;
        if (cap_drop_bound(capability) != 0) {
            return errno_error("taking capability " + std::to_string(capability) + " out of the bounding set");
        }
    }
    return {};
}

Result<void> cut_own_sets(uint64_t kept) {
    const Set now = TRY(sets_of_process());
    const Set less(cap_init());
    if (!less) return errno_error("making a set of capabilities");
    for (cap_value_t capability = 0; capability < cap_max_bits(); ++capability) {
        if ((kept >> static_cast<unsigned>(capability) & 1U) == 0 || !has(now, capability, CAP_PERMITTED)) continue;
        for (const cap_flag_t kind : {CAP_PERMITTED, CAP_EFFECTIVE}) {
            if (cap_set_flag(less.get(), kind, 1, &capability, CAP_SET) != 0)
                return errno_error("keeping a capability");
        }
    }
    if (cap_set_proc(less.get()) != 0) return errno_error("giving up capabilities");
    if (CAP_AMBIENT_SUPPORTED() && cap_reset_ambient() != 0) return errno_error("giving up ambient capabilities");
    return {};
}

// After dropping privilege, look.
Result<void> verify(uint64_t kept) {
    const Set now = TRY(sets_of_process());
    for (cap_value_t capability = 0; capability < cap_max_bits(); ++capability) {
        const bool wanted = (kept >> static_cast<unsigned>(capability) & 1U) != 0;
        const bool held = cap_get_bound(capability) == 1 || has(now, capability, CAP_PERMITTED) ||
                          has(now, capability, CAP_EFFECTIVE);
        if ((held && !wanted) || has(now, capability, CAP_INHERITABLE)) {
            return Error{ErrorKind::kSystem, EPERM, "capability " + std::to_string(capability) + " was not given up"};
        }
    }
    return {};
}

}  // namespace

std::span<const Capability> daemon_capabilities() {
    return kDaemon;
}

std::span<const Capability> box_capabilities() {
    return kBox;
}

Result<uint64_t> mask_of(std::span<const Capability> capabilities) {
    uint64_t mask = 0;
    for (const Capability& capability : capabilities) {
        cap_value_t number = 0;
        if (cap_from_name(capability.name, &number) != 0) {
            return errno_error(std::string("looking for ") + capability.name);
        }
        mask |= uint64_t{1} << static_cast<unsigned>(number);
    }
    return mask;
}

Result<void> keep_daemon_capabilities() {
    const uint64_t kept = TRY(mask_of(daemon_capabilities()));
    TRY(cut_bounding_set(kept));  // first: it takes CAP_SETPCAP, which is not kept
    TRY(cut_own_sets(kept));
    return verify(kept);
}

Result<std::vector<Capability>> missing_capabilities() {
    const Set now = TRY(sets_of_process());
    std::vector<Capability> missing;
    for (const Capability& capability : daemon_capabilities()) {
        cap_value_t number = 0;
        if (cap_from_name(capability.name, &number) != 0 || !has(now, number, CAP_PERMITTED)) {
            missing.push_back(capability);
        }
    }
    return missing;
}

Result<void> keep_memory_secret() {
    rlimit limit{};
    if (getrlimit(RLIMIT_CORE, &limit) != 0) return errno_error("looking at the limit of core files");
    limit.rlim_cur = 0;  // the hard one is what a box's commands may raise theirs to
    if (setrlimit(RLIMIT_CORE, &limit) != 0) return errno_error("forbidding core files");
    // Whatever becomes of the limit, and of a core_pattern that does not ask it.
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return errno_error("making the process non-dumpable");
    return {};
}

}  // namespace hutch::runtime
