#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/syscalls.h"

namespace hutch {

/// While it lives, the calling thread (no other) makes and opens files as that uid and gid, with all the capabilities
/// it had but CAP_SYS_RESOURCE, which would let it pass quotas (ignore_hardlimit() in fs/quota/dquot.c) and an ext4's
/// reserve. setfsuid(2) away from 0 takes the file capabilities out of the effective set; they are raised again.
/// Must end on the thread it began on.
///
/// Like every change of fsuid it makes the whole process non-dumpable (commit_creds() in kernel/cred.c): no core
/// files, and /proc/<pid> belongs to root.
class FsIdentity {
  public:
    static Result<FsIdentity> take(uid_t uid, gid_t gid);
    static Result<FsIdentity> take(uid_t id) { return take(id, id); }
    FsIdentity(FsIdentity&& other) noexcept;
    FsIdentity& operator=(FsIdentity&&) = delete;
    /// Gives the old identity back and verifies it; aborts if the kernel refuses, since a thread of the daemon that
    /// goes on with a box's identity is worse than none.
    ~FsIdentity();

  private:
    static constexpr size_t kWords = _LINUX_CAPABILITY_U32S_3;
    struct Saved {
        uid_t uid = 0;
        gid_t gid = 0;
        __user_cap_data_struct caps[kWords] = {};
    };
    FsIdentity() = default;
    static Result<void> change(const Saved& wanted);

    Saved old_;
    bool armed_ = false;
};

}  // namespace hutch
