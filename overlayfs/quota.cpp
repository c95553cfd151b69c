#include "overlayfs/quota.h"

#include <endian.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include <cstring>
#include <string>

#include "base/syscalls.h"
#include "overlayfs/subvolume.h"

namespace hutch::overlayfs {

namespace {

// Project ids of ours are drawn from here: another's, or one set by hand, is not touched.
constexpr uint32_t kFirstProject = 0x48000000;
constexpr uint32_t kProjects = 0x08000000;

constexpr unsigned of_projects(unsigned command) {
    return (command << SUBCMDSHIFT) | PRJQUOTA;
}

bool is_ours(uint32_t project) {
    return project >= kFirstProject && project - kFirstProject < kProjects;
}

Result<fsxattr> attributes_of(int dir) {
    fsxattr attributes{};
    if (ioctl(dir, FS_IOC_FSGETXATTR, &attributes) != 0) return errno_error("reading the project of a directory");
    return attributes;
}

/// 0 when it has none of ours.
uint32_t project_of(int dir) {
    auto attributes = attributes_of(dir);
    return attributes.ok() && is_ours(attributes->fsx_projid) ? attributes->fsx_projid : 0;
}

/// What the file system has on record of a project; all zero for one that is not in use.
Result<if_dqblk> project_record(int dir, uint32_t project) {
    if_dqblk record{};
    if (sys_quotactl_fd(dir, of_projects(Q_GETQUOTA), project, &record) != 0 && errno != ENOENT) {
        return errno_error("reading the quota of project " + std::to_string(project));
    }
    return record;
}

/// A project without a file. By chance: two that are drawn at a time would have to meet among 2^27.
Result<uint32_t> free_project(int dir) {
    for (;;) {
        uint32_t number = 0;
        if (getrandom(&number, sizeof(number), 0) != sizeof(number)) return errno_error("drawing a project id");
        const uint32_t project = kFirstProject + number % kProjects;
        const if_dqblk record = TRY(project_record(dir, project));
        if (record.dqb_curinodes == 0 && record.dqb_curspace == 0) return project;
    }
}

/// An item of btrfs' quota tree; nothing when there is none, or no such tree because quotas are off.
template <typename Item>
Result<std::optional<Item>> quota_item(int dir, uint32_t type, uint64_t subvolume) {
    const auto found = TRY(last_item(dir, BTRFS_QUOTA_TREE_OBJECTID, 0, type, subvolume, subvolume));
    if (!found || found->data.size() < sizeof(Item)) return std::optional<Item>();
    Item item{};
    std::memcpy(&item, found->data.data(), sizeof(item));
    return std::optional(item);
}

/// Its flags; 0 where quotas are off.
uint64_t qgroup_status(int dir) {
    auto status = quota_item<btrfs_qgroup_status_item>(dir, BTRFS_QGROUP_STATUS_KEY, 0);
    return status.ok() && *status ? le64toh((*status)->flags) : 0;
}

Result<bool> limit_subvolume(int dir, const DiskLimit& limit) {
    btrfs_ioctl_qgroup_limit_args arguments{};  // qgroupid 0: that of the subvolume
    arguments.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
    arguments.lim.max_rfer = limit.bytes == 0 ? UINT64_MAX : limit.bytes;  // all ones: none any more
    if (ioctl(dir, BTRFS_IOC_QGROUP_LIMIT, &arguments) == 0) return true;
    if (errno == ENOTCONN) return false;  // quotas are off
    return errno_error("limiting a subvolume");
}

Result<bool> limit_project(int dir, const DiskLimit& limit) {
    const uint32_t project = project_of(dir);
    if (project == 0) return false;
    if_dqblk record{};
    record.dqb_valid = QIF_LIMITS;
    record.dqb_bhardlimit = limit.bytes >> QIF_DQBLKSIZE_BITS;
    record.dqb_ihardlimit = limit.inodes;
    if (sys_quotactl_fd(dir, of_projects(Q_SETQUOTA), project, &record) == 0) return true;
    if (errno == ESRCH) return false;  // not mounted with prjquota any more
    return errno_error("limiting project " + std::to_string(project));
}

}  // namespace

Quota quota_of(int dir) {
    if (on_btrfs(dir)) {
        return (qgroup_status(dir) & BTRFS_QGROUP_STATUS_FLAG_ON) != 0 ? Quota::kQgroup : Quota::kNone;
    }
    fs_quota_statv state{};
    state.qs_version = FS_QSTATV_VERSION1;
    const bool known = sys_quotactl_fd(dir, of_projects(Q_XGETQSTATV), 0, &state) == 0;
    return known && (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0 ? Quota::kProject : Quota::kNone;
}

Result<void> begin_count(int dir) {
    if (quota_of(dir) != Quota::kProject) return {};
    fsxattr attributes = TRY(attributes_of(dir));
    if (attributes.fsx_projid != 0) return {};
    attributes.fsx_projid = TRY(free_project(dir));
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(dir, FS_IOC_FSSETXATTR, &attributes) != 0) return errno_error("giving a directory a project");
    return {};
}

Result<bool> set_limit(int dir, const DiskLimit& limit) {
    if (is_subvolume(dir)) return limit_subvolume(dir, limit);
    return limit_project(dir, limit);
}

Result<void> recount(int dir) {
    if (!on_btrfs(dir) || (qgroup_status(dir) & BTRFS_QGROUP_STATUS_FLAG_INCONSISTENT) == 0) return {};
    btrfs_ioctl_quota_rescan_args rescan{};
    if (ioctl(dir, BTRFS_IOC_QUOTA_RESCAN, &rescan) == 0 || errno == EINPROGRESS) return {};
    return errno_error("having btrfs count anew");
}

Result<std::optional<DiskUse>> counted_use(int dir) {
    if (is_subvolume(dir)) {
        const uint64_t id = TRY(subvolume_id(dir));
        const auto item = TRY(quota_item<btrfs_qgroup_info_item>(dir, BTRFS_QGROUP_INFO_KEY, id));
        if (!item) return std::optional<DiskUse>();
        return std::optional(DiskUse{le64toh(item->rfer), le64toh(item->excl)});
    }
    const uint32_t project = project_of(dir);
    if (project == 0 || quota_of(dir) != Quota::kProject) return std::optional<DiskUse>();
    const if_dqblk record = TRY(project_record(dir, project));
    return std::optional(DiskUse{record.dqb_curspace, record.dqb_curspace});
}

}  // namespace hutch::overlayfs
