// Runs inside a box and tries what a box must not do. One line for each try: its name, and "ok" or the errno's name.
// Static and without privileges of its own; what it could do on a host it undoes by ending.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_alg.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char* name, long result) {
    printf("%s %s\n", name, result >= 0 ? "ok" : strerrorname_np(errno));
}

static void try_opening(const char* name, const char* path, int flags) {
    const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    tell(name, fd);
    if (fd >= 0) close(fd);
}

static void try_socket(const char* name, int family, int type, int protocol) {
    const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    tell(name, fd);
    if (fd >= 0) close(fd);
}

// In a child of its own: a namespace that is granted must not colour what is tried after it.
static void try_unshare(const char* name, int flags) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        tell(name, unshare(flags));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void descriptors(void) {
    printf("descriptors");
    for (int fd = 0; fd < 65536; ++fd) {
        if (fcntl(fd, F_GETFD) >= 0) printf(" %d", fd);
    }
    printf("\n");
}

static void processes(void) {
    tell("ptrace_init", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
    char byte;
    const struct iovec local = {&byte, 1};
    const struct iovec remote = {(void*)0x400000, 1};
    tell("read_memory_of_init", process_vm_readv(1, &local, 1, &remote, 1, 0));
    const int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
    tell("take_descriptor_of_init", pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 3, 0));
    tell("setns_to_init", pidfd < 0 ? -1 : setns(pidfd, CLONE_NEWNS));
    try_opening("open_memory_of_init", "/proc/1/mem", O_RDWR);
    try_opening("open_program_of_init", "/proc/1/exe", O_RDONLY);
    try_opening("open_namespace_of_init", "/proc/1/ns/mnt", O_RDONLY);
    try_opening("open_descriptor_of_init", "/proc/1/fd/3", O_RDONLY);
    char target[64];
    tell("read_link_of_init", readlink("/proc/1/exe", target, sizeof(target)));
    tell("kcmp_init", syscall(SYS_kcmp, getpid(), 1, 0 /* KCMP_FILE */, 0, 0));
}

static void mounts(void) {
    tell("mount_tmpfs", mount("none", "/mnt", "tmpfs", 0, NULL));
    tell("mount_proc", mount("none", "/mnt", "proc", 0, NULL));
    tell("mount_cgroup", mount("none", "/mnt", "cgroup2", 0, NULL));
    tell("bind", mount("/", "/mnt", NULL, MS_BIND, NULL));
    tell("remount_proc_sys", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    tell("umount_proc_sys", umount2("/proc/sys", MNT_DETACH));
    tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    tell("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */));
    tell("pivot_root", syscall(SYS_pivot_root, ".", "."));
    try_unshare("unshare_user", CLONE_NEWUSER);
    try_unshare("unshare_mount", CLONE_NEWNS);
    try_unshare("unshare_network", CLONE_NEWNET);
    try_unshare("unshare_pid", CLONE_NEWPID);
    try_unshare("unshare_cgroup", CLONE_NEWCGROUP);
    const long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    tell("clone_user", child);
    const struct {
        unsigned long long flags, rest[10];
    } arguments = {CLONE_NEWUSER, {0}};
    const long child3 = syscall(SYS_clone3, &arguments, 88);
    if (child3 == 0) _exit(0);
    tell("clone3", child3);
}

static void devices(void) {
    tell("mknod_block", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
    tell("mknod_char", mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)));
    tell("mknod_null", mknod("/tmp/null", S_IFCHR | 0600, makedev(1, 3)));
    tell("mknod_fifo", mknod("/tmp/fifo", S_IFIFO | 0600, 0));
    try_opening("write_dev", "/dev/new", O_WRONLY | O_CREAT);
}

static void kernel(void) {
    try_opening("core_pattern", "/proc/sys/kernel/core_pattern", O_WRONLY);
    try_opening("drop_caches", "/proc/sys/vm/drop_caches", O_WRONLY);
    try_opening("ip_forward", "/proc/sys/net/ipv4/ip_forward", O_WRONLY);
    try_opening("sys_write", "/sys/class/net/lo/mtu", O_WRONLY);
    struct timeval now;
    gettimeofday(&now, NULL);
    tell("settimeofday", settimeofday(&now, NULL));
    tell("sethostname", sethostname("other", 5));
    tell("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0 /* CAD off */, NULL));
    tell("swapon", swapon("/tmp/none", 0));
    tell("init_module", syscall(SYS_init_module, NULL, 0, ""));
    tell("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tell("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0));
    tell("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_PROCESS_KEYRING));
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    tell("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
    struct perf_event_attr event = {.size = sizeof(event), .type = PERF_TYPE_SOFTWARE, .exclude_kernel = 1};
    tell("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
    struct io_uring_params ring = {0};
    tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, &ring));
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    printf("core_limit %llu\n", (unsigned long long)core.rlim_max);
}

static void sockets(void) {
    try_socket("inet", AF_INET, SOCK_STREAM, 0);
    try_socket("unix", AF_UNIX, SOCK_STREAM, 0);
    try_socket("ping", AF_INET, SOCK_DGRAM, 1 /* IPPROTO_ICMP */);
    try_socket("route", AF_NETLINK, SOCK_RAW, 0 /* NETLINK_ROUTE */);
    try_socket("raw", AF_INET, SOCK_RAW, 1);
    try_socket("packet", AF_PACKET, SOCK_RAW, 0);
    try_socket("alg", AF_ALG, SOCK_SEQPACKET, 0);
    try_socket("vsock", 40 /* AF_VSOCK */, SOCK_STREAM, 0);
    try_socket("key", AF_KEY, SOCK_RAW, 2);
    try_socket("netfilter", AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */);
    try_socket("audit", AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */);
}

int main(void) {
    descriptors();
    processes();
    mounts();
    devices();
    kernel();
    sockets();
    return 0;
}
