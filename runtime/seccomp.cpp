#include "runtime/seccomp.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "runtime/seccomp_calls.h"

namespace hutch::runtime {
namespace {

using Context = std::unique_ptr<void, decltype([](void* context) { seccomp_release(context); })>;

Result<void> add(void* context, uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return {};  // this libseccomp or this architecture does not know it: the default answers
    const int failed =
        seccomp_rule_add_array(context, action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
    if (failed != 0) return errno_error("seccomp rule for " + std::string(name), -failed);
    return {};
}

constexpr uint64_t kLowerHalf = 0xffffffff;  // all that the kernel looks at of an int
constexpr uint64_t kSocketType = 0xf;        // SOCK_TYPE_MASK; SOCK_NONBLOCK and SOCK_CLOEXEC are above

unsigned ping_of(int family) {
    return family == AF_INET ? unsigned{IPPROTO_ICMP} : unsigned{IPPROTO_ICMPV6};
}

Result<void> add_sockets(void* context, Nesting nesting) {
    constexpr auto kFamilyEquals = [](int family) { return SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(family)); };
    TRY(add(context, SCMP_ACT_ALLOW, "socket", {kFamilyEquals(AF_UNIX)}));
    // Another type or protocol loads its module into the host's kernel (SCTP, DCCP and MPTCP had their share of bugs).
    // The kernel itself refuses raw sockets, by an errno that ping and its kin know; not to root of a namespace within.
    const uint32_t raw = nesting == Nesting::kAllowed ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW;
    constexpr auto kTypeEquals = [](unsigned type) { return SCMP_A1(SCMP_CMP_MASKED_EQ, kSocketType, type); };
    for (const int family : {AF_INET, AF_INET6}) {
        for (const unsigned protocol : {IPPROTO_IP, IPPROTO_TCP}) {
            TRY(add(context, SCMP_ACT_ALLOW, "socket",
                    {kFamilyEquals(family), kTypeEquals(SOCK_STREAM), SCMP_A2_32(SCMP_CMP_EQ, protocol)}));
        }
        for (const unsigned protocol : {unsigned{IPPROTO_IP}, unsigned{IPPROTO_UDP}, ping_of(family)}) {
            TRY(add(context, SCMP_ACT_ALLOW, "socket",
                    {kFamilyEquals(family), kTypeEquals(SOCK_DGRAM), SCMP_A2_32(SCMP_CMP_EQ, protocol)}));
        }
        TRY(add(context, raw, "socket", {kFamilyEquals(family), kTypeEquals(SOCK_RAW)}));
    }
    TRY(add(context, SCMP_ACT_ALLOW, "socket", {kFamilyEquals(AF_NETLINK), SCMP_A2_32(SCMP_CMP_EQ, NETLINK_ROUTE)}));
    // sudo and PAM take this errno as "a kernel without audit" and go on; EPERM would stop them.
    TRY(add(context, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket",
            {kFamilyEquals(AF_NETLINK), SCMP_A2_32(SCMP_CMP_NE, NETLINK_ROUTE)}));
    TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", {SCMP_A0_32(SCMP_CMP_GT, AF_NETLINK)}));
    // A family may have pairs of its own (TIPC has), and looking it up loads its module.
    TRY(add(context, SCMP_ACT_ALLOW, "socketpair", {kFamilyEquals(AF_UNIX)}));
    TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socketpair", {SCMP_A0_32(SCMP_CMP_NE, AF_UNIX)}));
    for (unsigned family = 0; family < AF_NETLINK; ++family) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
        TRY(add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", {SCMP_A0_32(SCMP_CMP_EQ, family)}));
    }
    return {};
}

constexpr uint64_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Namespaces of time are of no use to a sandbox: a flag of unshare alone, where clone has the signal of the end.
Result<void> allow_namespaces(void* context) {
    constexpr uint64_t kMayUnshare = kNamespaces | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
    for (const char* name : kNesting) TRY(add(context, SCMP_ACT_ALLOW, name, {}));
    TRY(add(context, SCMP_ACT_ALLOW, "clone", {}));
    TRY(add(context, SCMP_ACT_ERRNO(EPERM), "unshare", {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWTIME, CLONE_NEWTIME)}));
    return add(context, SCMP_ACT_ALLOW, "unshare", {SCMP_A0(SCMP_CMP_MASKED_EQ, ~kMayUnshare, 0)});
}

Result<void> refuse_namespaces(void* context) {
    for (const char* name : kNesting) TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {}));
    for (const char* name : kKeys) TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {}));
    // Init's child makes its control group the root of what it sees; the run's filter takes that away too.
    TRY(add(context, SCMP_ACT_ALLOW, "unshare", {SCMP_A0(SCMP_CMP_EQ, CLONE_NEWCGROUP)}));
    TRY(add(context, SCMP_ACT_ERRNO(EPERM), "unshare", {SCMP_A0(SCMP_CMP_NE, CLONE_NEWCGROUP)}));
    TRY(add(context, SCMP_ACT_ALLOW, "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaces, 0)}));
    for (uint64_t flag = 1; flag <= kNamespaces; flag <<= 1U) {
        if ((flag & kNamespaces) == 0) continue;
        TRY(add(context, SCMP_ACT_ERRNO(EPERM), "clone", {SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)}));
    }
    return {};
}

Result<void> add_box_rules(void* context, Nesting nesting) {
    for (const char* name : kAllowed) TRY(add(context, SCMP_ACT_ALLOW, name, {}));
    for (const char* name : kRefused) TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {}));
    TRY(add_sockets(context, nesting));
    TRY(nesting == Nesting::kAllowed ? allow_namespaces(context) : refuse_namespaces(context));
    for (const uint64_t persona : {0x0UL, 0x8UL, 0x20000UL, 0x20008UL, 0x40000UL, 0xffffffffUL}) {
        TRY(add(context, SCMP_ACT_ALLOW, "personality", {SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(persona))}));
    }
    return {};
}

// Faked terminal input (CVE-2016-7545 and its kin), and what loads a module into the host's kernel for whoever asks:
// line disciplines, bridges, VLANs.
constexpr uint64_t kRefusedRequests[] = {TIOCSTI,     TIOCLINUX,   TIOCSETD,    SIOCGIFBR,  SIOCSIFBR,
                                         SIOCBRADDBR, SIOCBRDELBR, SIOCGIFVLAN, SIOCSIFVLAN};

// The box's root has the uid of init. Without limits for files, or on no CPU, init would start no command any more.
Result<void> protect_init(void* context) {
    const scmp_arg_cmp first = SCMP_A0(SCMP_CMP_MASKED_EQ, kLowerHalf, 1);
    const scmp_arg_cmp second = SCMP_A1(SCMP_CMP_MASKED_EQ, kLowerHalf, 1);
    TRY(add(context, SCMP_ACT_ERRNO(EPERM), "prlimit64", {first, SCMP_A2(SCMP_CMP_NE, 0)}));  // reading is free
    for (const char* name : {"sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"}) {
        TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {first}));
    }
    for (const char* name : {"setpriority", "ioprio_set"}) TRY(add(context, SCMP_ACT_ERRNO(EPERM), name, {second}));
    // All processes of a user are init, too.
    const auto of_user = [](uint64_t which) { return SCMP_A0(SCMP_CMP_MASKED_EQ, kLowerHalf, which); };
    TRY(add(context, SCMP_ACT_ERRNO(EPERM), "setpriority", {of_user(PRIO_USER)}));
    return add(context, SCMP_ACT_ERRNO(EPERM), "ioprio_set", {of_user(IOPRIO_WHO_USER)});
}

// While a thread waits for many descriptors the kernel holds 70 bytes for each, charged to nobody: 4,096 threads that
// name one descriptor 20,000 times held 4 GiB. Whoever has so many uses epoll.
Result<void> limit_poll(void* context) {
    constexpr uint64_t kMost = 1024;
    TRY(add(context, SCMP_ACT_ERRNO(EINVAL), "poll", {SCMP_A1(SCMP_CMP_GT, kMost)}));
    TRY(add(context, SCMP_ACT_ERRNO(EINVAL), "ppoll", {SCMP_A1(SCMP_CMP_GT, kMost)}));
    TRY(add(context, SCMP_ACT_ERRNO(EINVAL), "select", {SCMP_A0(SCMP_CMP_GT, kMost)}));
    return add(context, SCMP_ACT_ERRNO(EINVAL), "pselect6", {SCMP_A0(SCMP_CMP_GT, kMost)});
}

// Root of a network namespace within has CAP_NET_ADMIN there. The tables of iptables, ip6tables, arptables, ebtables
// and IPVS, and policies of IPsec, are options of any socket, and had their share of bugs (CVE-2021-22555); nftables
// and IPsec's other door are families of netlink, which no box has.
Result<void> refuse_firewalls(void* context) {
    struct Options {
        unsigned level;
        unsigned first;  ///< of as many as `mask` leaves open
        unsigned mask = ~0U;
    };
    constexpr Options kOptions[] = {
        {IPPROTO_IP, 64, ~3U},    {IPPROTO_IP, 96, ~3U},   {IPPROTO_IP, 128, ~3U},
        {IPPROTO_IP, 1152, ~31U}, {IPPROTO_IP, 16, ~1U},   {IPPROTO_IPV6, 64},
        {IPPROTO_IPV6, 65},       {IPPROTO_IPV6, 68, ~1U}, {IPPROTO_IPV6, 34, ~1U},
    };
    for (const Options& options : kOptions) {
        for (const char* name : {"setsockopt", "getsockopt"}) {
            TRY(add(context, SCMP_ACT_ERRNO(ENOPROTOOPT), name,
                    {SCMP_A1(SCMP_CMP_MASKED_EQ, kLowerHalf, options.level),
                     SCMP_A2(SCMP_CMP_MASKED_EQ, options.mask & kLowerHalf, options.first)}));
        }
    }
    return {};
}

Result<void> add_run_rules(void* context, Nesting nesting) {
    if (nesting == Nesting::kAllowed) TRY(refuse_firewalls(context));
    TRY(add(context, SCMP_ACT_ERRNO(ENOSYS), "clone3", {}));
    if (nesting == Nesting::kRefused) TRY(add(context, SCMP_ACT_ERRNO(EPERM), "unshare", {}));
    // The kernel looks at the lower half of the register only, so the rules must too (CVE-2019-10063). Masks can name
    // what is refused but not its complement: hence not in the allow-list.
    for (const uint64_t request : kRefusedRequests) {
        TRY(add(context, SCMP_ACT_ERRNO(EPERM), "ioctl", {SCMP_A1(SCMP_CMP_MASKED_EQ, kLowerHalf, request)}));
    }
    // The box's filter refuses these too, by an errno for which few programs try something else.
    for (const int family : {AF_INET, AF_INET6}) {
        for (const unsigned protocol : {33U /* DCCP */, 115U /* L2TP */, 132U /* SCTP */, 136U /* UDP-Lite */,
                                        256U /* SMC */, 262U /* MPTCP */}) {
            TRY(add(context, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket",
                    {SCMP_A0(SCMP_CMP_MASKED_EQ, kLowerHalf, static_cast<unsigned>(family)),
                     SCMP_A2(SCMP_CMP_MASKED_EQ, kLowerHalf, protocol)}));
        }
    }
    TRY(protect_init(context));
    return limit_poll(context);
}

Result<Filter> finish(void* context) {
    seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // binary tree instead of one long walk
    const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) return errno_error("making a file for the seccomp program");
    const int failed = seccomp_export_bpf(context, file.get());
    if (failed != 0) return errno_error("compiling the seccomp program", -failed);
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return errno_error("reading the seccomp program");
    Filter filter(static_cast<size_t>(status.st_size) / sizeof(sock_filter));
    const size_t bytes = filter.size() * sizeof(sock_filter);
    if (pread(file.get(), filter.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
        return errno_error("reading the seccomp program");
    }
    return filter;
}

}  // namespace

Result<Filters> compile_filters(Nesting nesting) {
    Filters filters;
    const Context box(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
    TRY(add_box_rules(box.get(), nesting));
    filters.box = TRY(finish(box.get()));
    const Context run(seccomp_init(SCMP_ACT_ALLOW));
    TRY(add_run_rules(run.get(), nesting));
    filters.run = TRY(finish(run.get()));
    return filters;
}

}  // namespace hutch::runtime
