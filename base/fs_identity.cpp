#include "base/fs_identity.h"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace hutch {

namespace {

__user_cap_header_struct this_thread() {
    return {_LINUX_CAPABILITY_VERSION_3, 0};
}

// setfsuid(2) has no error: it answers the id before the call, and an impossible id changes nothing.
uid_t current_fsuid() {
    return static_cast<uid_t>(sys_setfsuid(static_cast<uid_t>(-1)));
}
gid_t current_fsgid() {
    return static_cast<gid_t>(sys_setfsgid(static_cast<gid_t>(-1)));
}

}  // namespace

Result<void> FsIdentity::change(const Saved& wanted) {
    (void)sys_setfsgid(wanted.gid);
    (void)sys_setfsuid(wanted.uid);
    if (current_fsgid() != wanted.gid || current_fsuid() != wanted.uid) {
        return errno_error("changing the thread's file owner to " + std::to_string(wanted.uid), EPERM);
    }
    __user_cap_header_struct header = this_thread();
    if (sys_capset(&header, wanted.caps) != 0) return errno_error("setting the thread's capabilities");
    __user_cap_data_struct now[kWords] = {};
    if (sys_capget(&header, now) != 0) return errno_error("reading the thread's capabilities");
    if (std::memcmp(now, wanted.caps, sizeof(now)) != 0) return errno_error("keeping the thread's capabilities", EPERM);
    return {};
}

Result<FsIdentity> FsIdentity::take(uid_t uid, gid_t gid) {
    FsIdentity identity;
    __user_cap_header_struct header = this_thread();
    if (sys_capget(&header, identity.old_.caps) != 0) return errno_error("reading the thread's capabilities");
    identity.old_.uid = current_fsuid();
    identity.old_.gid = current_fsgid();
    Saved wanted = identity.old_;
    wanted.uid = uid;
    wanted.gid = gid;
    wanted.caps[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
    identity.armed_ = true;  // before the change: half of it is given back too
    TRY(change(wanted));
    return identity;
}

FsIdentity::FsIdentity(FsIdentity&& other) noexcept : old_(other.old_), armed_(std::exchange(other.armed_, false)) {}

FsIdentity::~FsIdentity() {
    if (armed_ && !change(old_).ok()) std::abort();
}

}  // namespace hutch
