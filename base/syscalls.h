#pragma once

// Every system call that glibc 2.36 does not wrap, or wraps in a way we cannot use (libc's set*id wrappers change
// all threads; the raw call changes only the caller). No policy here: arguments in, kernel's answer out (-1 + errno).
// Structures come from <linux/*.h>, which must not meet <sys/mount.h> in one file on glibc 2.36.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#ifndef MNT_DETACH  // only <sys/mount.h> has it
#define MNT_DETACH 2
#endif

namespace hutch {

inline int sys_openat2(int dir, const char* path, const open_how& how) {
    return static_cast<int>(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}
inline int sys_open_tree(int dir, const char* path, unsigned flags) {
    return static_cast<int>(syscall(SYS_open_tree, dir, path, flags));
}
inline int sys_move_mount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
    return static_cast<int>(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}
inline int sys_fsopen(const char* type, unsigned flags) {
    return static_cast<int>(syscall(SYS_fsopen, type, flags));
}
inline int sys_fsconfig(int fs, unsigned command, const char* key, const void* value, int aux) {
    return static_cast<int>(syscall(SYS_fsconfig, fs, command, key, value, aux));
}
inline int sys_fsmount(int fs, unsigned flags, unsigned attributes) {
    return static_cast<int>(syscall(SYS_fsmount, fs, flags, attributes));
}
inline int sys_mount_setattr(int dir, const char* path, unsigned flags, const mount_attr& attributes) {
    return static_cast<int>(syscall(SYS_mount_setattr, dir, path, flags, &attributes, sizeof(attributes)));
}
inline int sys_mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data) {
    return static_cast<int>(syscall(SYS_mount, source, target, type, flags, data));
}
inline int sys_umount2(const char* target, int flags) {
    return static_cast<int>(syscall(SYS_umount2, target, flags));
}
inline int sys_pivot_root(const char* new_root, const char* put_old) {
    return static_cast<int>(syscall(SYS_pivot_root, new_root, put_old));
}
inline int sys_pidfd_open(pid_t pid) {
    return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}
inline int sys_pidfd_getfd(int pidfd, int target) {
    return static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, target, 0));
}
inline int sys_pidfd_send_signal(int pidfd, int signal) {
    return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}
inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
    return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}
inline int sys_execveat(int dir, const char* path, char* const* argv, char* const* env, int flags) {
    return static_cast<int>(syscall(SYS_execveat, dir, path, argv, env, flags));
}
inline int sys_seccomp(unsigned operation, unsigned flags, void* arguments) {
    return static_cast<int>(syscall(SYS_seccomp, operation, flags, arguments));
}
inline int sys_setresuid(uid_t id) {
    return static_cast<int>(syscall(SYS_setresuid, id, id, id));
}
inline int sys_setresgid(gid_t id) {
    return static_cast<int>(syscall(SYS_setresgid, id, id, id));
}
inline int sys_setgroups(size_t count, const gid_t* groups) {
    return static_cast<int>(syscall(SYS_setgroups, count, groups));
}
inline int sys_setfsuid(uid_t id) {
    return static_cast<int>(syscall(SYS_setfsuid, id));
}
inline int sys_setfsgid(gid_t id) {
    return static_cast<int>(syscall(SYS_setfsgid, id));
}
/// quotactl(2) by a file on the file system: Linux 5.14.
inline int sys_quotactl_fd(int file, unsigned command, unsigned id, void* argument) {
    return static_cast<int>(syscall(SYS_quotactl_fd, file, command, id, argument));
}
inline int sys_capget(__user_cap_header_struct* header, __user_cap_data_struct* data) {
    return static_cast<int>(syscall(SYS_capget, header, data));
}
inline int sys_capset(__user_cap_header_struct* header, const __user_cap_data_struct* data) {
    return static_cast<int>(syscall(SYS_capset, header, data));
}
inline int sys_waitid_pidfd(int pidfd, siginfo_t* info, int options) {
    return static_cast<int>(syscall(SYS_waitid, 3 /* P_PIDFD */, pidfd, info, options, nullptr));
}

}  // namespace hutch
