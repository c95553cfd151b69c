#include <asm/unistd.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "runtime/link.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_calls.h"

namespace hutch::runtime {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

struct Verdict {
    uint32_t action;
    size_t steps;  ///< instructions executed
};

/// The kernel's answer to `call`, as far as libseccomp uses its machine (seccomp(2), filter.rst).
Verdict judge(const Filter& filter, const seccomp_data& call) {
    uint32_t accumulator = 0;
    size_t steps = 0;
    for (size_t at = 0; at < filter.size(); ++at) {
        const sock_filter& instruction = filter[at];
        const auto jump = [&](bool taken) { at += taken ? instruction.jt : instruction.jf; };
        ++steps;
        switch (instruction.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                std::memcpy(&accumulator, reinterpret_cast<const char*>(&call) + instruction.k, sizeof(accumulator));
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                accumulator &= instruction.k;
                break;
            case BPF_JMP | BPF_JA:
                at += instruction.k;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                jump(accumulator == instruction.k);
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                jump(accumulator > instruction.k);
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                jump(accumulator >= instruction.k);
                break;
            case BPF_JMP | BPF_JSET | BPF_K:
                jump((accumulator & instruction.k) != 0);
                break;
            case BPF_RET | BPF_K:
                return {instruction.k, steps};
            default:
                ADD_FAILURE() << "instruction " << instruction.code << " at " << at;
                return {SECCOMP_RET_KILL_PROCESS, steps};
        }
    }
    ADD_FAILURE() << "the program does not return";
    return {SECCOMP_RET_KILL_PROCESS, steps};
}

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t error(int code) {
    return SECCOMP_RET_ERRNO | static_cast<uint32_t>(code);
}
constexpr uint64_t kAboveInt = 1ULL << 32U;  // what the kernel cuts off an int argument

class SeccompTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        for (const Nesting nesting : {Nesting::kRefused, Nesting::kAllowed}) {
            auto compiled = compile_filters(nesting);
            ASSERT_TRUE(compiled.ok()) << compiled.error().message;
            (nesting == Nesting::kAllowed ? nesting_ : filters_) = std::move(compiled).value();
        }
    }
    static seccomp_data call(int number, std::initializer_list<uint64_t> arguments) {
        seccomp_data data{};
        data.nr = number;
        data.arch = kArch;
        std::copy(arguments.begin(), arguments.end(), data.args);
        return data;
    }
    /// What a command is answered: the kernel takes the stricter of the two programs' verdicts.
    static uint32_t command(int number, std::initializer_list<uint64_t> arguments = {}) {
        return judge_both(filters_, number, arguments);
    }
    static uint32_t nesting_command(int number, std::initializer_list<uint64_t> arguments = {}) {
        return judge_both(nesting_, number, arguments);
    }
    static uint32_t init(int number, std::initializer_list<uint64_t> arguments = {}) {
        return judge(filters_.box, call(number, arguments)).action;
    }

    static inline Filters filters_;
    static inline Filters nesting_;

  private:
    static uint32_t judge_both(const Filters& filters, int number, std::initializer_list<uint64_t> arguments) {
        const uint32_t box = judge(filters.box, call(number, arguments)).action;
        const uint32_t run = judge(filters.run, call(number, arguments)).action;
        return run == kAllow ? box : run;
    }
};

TEST_F(SeccompTest, ProgramsFitInitAndThePacket) {
    for (const Filters& filters : {filters_, nesting_}) {
        EXPECT_LE(filters.box.size(), kMaxFilter);
        EXPECT_LE(filters.run.size(), kMaxRunFilter);
        EXPECT_LE(sizeof(runtime::Setup) + (filters.box.size() + filters.run.size()) * sizeof(sock_filter),
                  kMaxMessage);
    }
}

TEST_F(SeccompTest, AnyCallIsJudgedInFewInstructions) {
    for (const Filters& filters : {filters_, nesting_}) {
        size_t most = 0;
        for (int number = 0; number < 600; ++number) {
            most =
                std::max(most, judge(filters.box, call(number, {})).steps + judge(filters.run, call(number, {})).steps);
        }
        EXPECT_LE(most, 64U) << "a tree, not a walk";
    }
}

TEST_F(SeccompTest, NestingOpensNamespacesAndMountsAndNothingElse) {
    for (int number = 0; number < 600; ++number) {
        const uint32_t plain = command(number);
        const uint32_t nesting = nesting_command(number);
        const std::unique_ptr<char, decltype(&free)> owned(seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number),
                                                           free);
        const char* const name = owned.get();
        const auto is_in = [name](const auto& names) {
            return name != nullptr && std::any_of(std::begin(names), std::end(names),
                                                  [name](const char* one) { return std::string_view(one) == name; });
        };
        if (is_in(kNesting) || (name != nullptr && std::string_view(name) == "unshare")) {
            EXPECT_EQ(plain, error(EPERM)) << name;
            EXPECT_EQ(nesting, kAllow) << name;
        } else if (is_in(kKeys)) {
            EXPECT_EQ(nesting, error(ENOSYS)) << name;
        } else {
            EXPECT_EQ(nesting, plain) << number;
        }
    }
}

TEST_F(SeccompTest, NestingOpensNoTimeAndNoUnknownNamespaces) {
    EXPECT_EQ(nesting_command(SYS_unshare, {CLONE_NEWUSER | CLONE_NEWNET}), kAllow);
    EXPECT_EQ(nesting_command(SYS_clone, {CLONE_NEWUSER | SIGCHLD}), kAllow);
    EXPECT_EQ(nesting_command(SYS_unshare, {CLONE_NEWUSER | CLONE_NEWTIME}), error(EPERM));
    EXPECT_EQ(nesting_command(SYS_unshare, {kAboveInt}), error(ENOSYS));
    EXPECT_EQ(nesting_command(SYS_clone3), error(ENOSYS));
}

TEST_F(SeccompTest, NestingClosesFirewallsOfSocketOptionsAndRawSockets) {
    for (const uint64_t high : {uint64_t{0}, kAboveInt}) {
        for (const unsigned name : {64U, 65U, 67U, 96U, 99U, 128U, 131U, 1152U, 1183U, 16U, 17U}) {
            EXPECT_EQ(nesting_command(SYS_setsockopt, {3, high | IPPROTO_IP, high | name}), error(ENOPROTOOPT)) << name;
            EXPECT_EQ(nesting_command(SYS_getsockopt, {3, high | IPPROTO_IP, high | name}), error(ENOPROTOOPT)) << name;
        }
        for (const unsigned name : {64U, 65U, 68U, 69U, 34U, 35U}) {
            EXPECT_EQ(nesting_command(SYS_setsockopt, {3, high | IPPROTO_IPV6, high | name}), error(ENOPROTOOPT))
                << name;
        }
    }
    for (const unsigned name : {1U, 10U, 15U, 18U, 50U, 80U}) {
        EXPECT_EQ(nesting_command(SYS_setsockopt, {3, IPPROTO_IP, name}), kAllow) << name;
    }
    for (const unsigned name : {26U, 36U, 66U, 67U, 70U, 72U, 80U}) {
        EXPECT_EQ(nesting_command(SYS_setsockopt, {3, IPPROTO_IPV6, name}), kAllow) << name;
    }
    EXPECT_EQ(nesting_command(SYS_setsockopt, {3, SOL_SOCKET, 64}), kAllow);
    EXPECT_EQ(nesting_command(SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_RAW}), error(EPERM));
    EXPECT_EQ(command(SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_RAW}), kAllow) << "the kernel refuses it";
}

TEST_F(SeccompTest, KnownDangerousCallsAreRefused) {
    for (const char* name : {"mount",
                             "umount2",
                             "pivot_root",
                             "setns",
                             "unshare",
                             "bpf",
                             "perf_event_open",
                             "io_uring_setup",
                             "userfaultfd",
                             "keyctl",
                             "add_key",
                             "request_key",
                             "kcmp",
                             "open_by_handle_at",
                             "reboot",
                             "swapon",
                             "init_module",
                             "finit_module",
                             "kexec_load",
                             "settimeofday",
                             "clock_settime",
                             "sethostname",
                             "fsopen",
                             "move_mount"}) {
        EXPECT_EQ(command(seccomp_syscall_resolve_name(name)), error(EPERM)) << name;
    }
}

TEST_F(SeccompTest, UnknownCallsDoNotExist) {
    for (const int number : {600, 1000, 0x3fffffff}) EXPECT_EQ(command(number), error(ENOSYS)) << number;
}

TEST_F(SeccompTest, ForeignAbisDoNotExist) {
    for (const uint32_t arch : {static_cast<uint32_t>(AUDIT_ARCH_I386), static_cast<uint32_t>(AUDIT_ARCH_ARM)}) {
        for (int number = 0; number < 600; ++number) {
            seccomp_data foreign = call(number, {});
            foreign.arch = arch;
            EXPECT_EQ(judge(filters_.box, foreign).action, error(ENOSYS)) << number;
        }
    }
#if defined(__x86_64__)
    constexpr int kX32 = 0x40000000;
    for (int number = 0; number < 600; ++number) EXPECT_EQ(command(kX32 | number), error(ENOSYS)) << number;
#endif
}

TEST_F(SeccompTest, FourSocketFamiliesExist) {
    for (uint64_t family = 0; family < 64; ++family) {
        const bool open = family == AF_UNIX || family == AF_INET || family == AF_INET6;
        const uint32_t expected = open ? kAllow : family == AF_NETLINK ? error(EPROTONOSUPPORT) : error(EAFNOSUPPORT);
        EXPECT_EQ(command(__NR_socket, {family, SOCK_RAW, NETLINK_AUDIT}), expected) << family;
        EXPECT_NE(command(__NR_socket, {kAboveInt | family, SOCK_RAW, NETLINK_AUDIT}), kAllow) << family;
        EXPECT_EQ(command(__NR_socketpair, {family}), family == AF_UNIX ? kAllow : error(EAFNOSUPPORT)) << family;
    }
    EXPECT_EQ(command(__NR_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}), kAllow);
}

TEST_F(SeccompTest, NoCloneMakesANamespace) {
    EXPECT_EQ(command(__NR_clone, {SIGCHLD}), kAllow);
    EXPECT_EQ(command(__NR_clone, {CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND}), kAllow);
    constexpr uint64_t kNamespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                        CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    for (const uint64_t flag : kNamespaces) {
        EXPECT_EQ(command(__NR_clone, {flag | SIGCHLD}), error(EPERM)) << flag;
        EXPECT_EQ(command(__NR_clone, {kAboveInt | flag | CLONE_NEWUSER}), error(EPERM)) << flag;
    }
    EXPECT_EQ(command(__NR_clone3), error(ENOSYS)) << "its flags are out of a filter's sight";
    EXPECT_EQ(init(__NR_clone3), kAllow) << "but init needs it";
}

TEST_F(SeccompTest, TerminalInputIsNotFaked) {
    for (const uint64_t request : {uint64_t{TIOCSTI}, uint64_t{TIOCLINUX}}) {
        for (const uint64_t high : {uint64_t{0}, kAboveInt, ~uint64_t{0} << 32U}) {
            EXPECT_EQ(command(__NR_ioctl, {1, high | request}), error(EPERM)) << high;
        }
    }
    for (const int request : {TCGETS, TIOCSWINSZ, TIOCSCTTY, FIONREAD}) {
        EXPECT_EQ(command(__NR_ioctl, {1, static_cast<uint64_t>(request)}), kAllow) << request;
    }
}

/// Both ends of a control socket; `peer_` is init's.
class LinkTest : public ::testing::Test {
  protected:
    void SetUp() override {
        int pair[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        link_ = Link(UniqueFd(pair[0]));
        peer_ = UniqueFd(pair[1]);
        spec_.argv = {"true"};
        spec_.leaf = spec_.in = spec_.out = spec_.err = peer_.get();
    }
    ErrorKind refusal() {
        const auto sent = link_.send(spec_);
        EXPECT_FALSE(sent.ok());
        char byte = 0;
        EXPECT_LT(recv(peer_.get(), &byte, 1, MSG_DONTWAIT), 0) << "nothing reached init";
        return sent.ok() ? ErrorKind::kSystem : sent.error().kind;
    }
    /// Packet as init gets it; how many descriptors came with it in `fds`.
    std::string packet(size_t& fds) const {
        std::string bytes(kMaxMessage + 1, '\0');
        alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
        iovec data{bytes.data(), bytes.size()};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t n = recvmsg(peer_.get(), &message, MSG_DONTWAIT);
        bytes.resize(n < 0 ? 0 : static_cast<size_t>(n));
        const cmsghdr* rights = CMSG_FIRSTHDR(&message);
        fds = rights == nullptr ? 0 : (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < fds; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
            close(fd);
        }
        return bytes;
    }
    void reply(const Reply& reply) const { ASSERT_EQ(send(peer_.get(), &reply, sizeof(reply), 0), sizeof(reply)); }

    Link link_;
    UniqueFd peer_;
    RunSpec spec_;
};

TEST_F(LinkTest, ACommandIsAHeaderAndItsStrings) {
    spec_.id = 7;
    spec_.argv = {"a", ""};
    spec_.env = {"B=c"};
    spec_.work_dir = "/d";
    spec_.uid = 1000;
    ASSERT_TRUE(link_.send(spec_).ok());
    size_t fds = 0;
    const std::string bytes = packet(fds);
    ASSERT_GE(bytes.size(), sizeof(runtime::Run));
    runtime::Run run{};
    std::memcpy(&run, bytes.data(), sizeof(run));
    EXPECT_EQ(run.type, MessageType::kRun);
    EXPECT_EQ(run.run_id, 7U);
    EXPECT_EQ(run.argc, 2U);
    EXPECT_EQ(run.envc, 1U);
    EXPECT_EQ(run.uid, 1000U);
    EXPECT_EQ(run.tty, 0U);
    EXPECT_EQ(run.choices, 0U);
    EXPECT_EQ(bytes.substr(sizeof(runtime::Run)), std::string("a\0\0B=c\0/d\0", 10));
    EXPECT_EQ(fds, 4U);
}

TEST_F(LinkTest, WithoutInputInitIsTold) {
    spec_.in = -1;
    ASSERT_TRUE(link_.send(spec_).ok());
    size_t fds = 0;
    runtime::Run run{};
    std::memcpy(&run, packet(fds).data(), sizeof(run));
    EXPECT_EQ(run.choices, runtime::kNoInput);
    EXPECT_EQ(fds, 4U);
}

TEST_F(LinkTest, WithATerminalOnlyTheLeafGoesAlong) {
    spec_.in = spec_.out = spec_.err = -1;
    spec_.terminal = {24, 80};
    ASSERT_TRUE(link_.send(spec_).ok());
    size_t fds = 0;
    runtime::Run run{};
    std::memcpy(&run, packet(fds).data(), sizeof(run));
    EXPECT_EQ(fds, 1U);
    EXPECT_TRUE(run.tty == 1 && run.rows == 24 && run.cols == 80);
}

TEST_F(LinkTest, WhatIsTooLargeIsNotSent) {
    spec_.argv = {"true", std::string(kMaxMessage - sizeof(runtime::Run) - 7, 'x')};  // "true", the end of each, ""
    ASSERT_TRUE(link_.send(spec_).ok()) << "the largest that fits";
    size_t fds = 0;
    EXPECT_EQ(packet(fds).size(), kMaxMessage);
    spec_.argv[1] += 'x';
    EXPECT_EQ(refusal(), ErrorKind::kTooLarge);
    spec_.argv.assign(kMaxStrings - 2, "x");
    EXPECT_EQ(refusal(), ErrorKind::kTooLarge);
}

TEST_F(LinkTest, WhatCannotBeEncodedIsNotSent) {
    spec_.argv = {};
    EXPECT_EQ(refusal(), ErrorKind::kInvalid);
    const std::string broken("a\0b", 3);
    spec_.argv = {"true", broken};
    EXPECT_EQ(refusal(), ErrorKind::kInvalid);
    spec_.argv = {"true"};
    spec_.env = {broken};
    EXPECT_EQ(refusal(), ErrorKind::kInvalid);
    spec_.env = {};
    spec_.work_dir = broken;
    EXPECT_EQ(refusal(), ErrorKind::kInvalid);
}

TEST_F(LinkTest, AFullQueueIsALimitNotAWait) {
    Result<void> sent;
    for (int i = 0; i < 100'000 && sent.ok(); ++i) sent = link_.send(spec_);
    ASSERT_FALSE(sent.ok());
    EXPECT_EQ(sent.error().kind, ErrorKind::kLimit);
}

TEST_F(LinkTest, NothingIsReceivedUntilSomethingIsSaid) {
    const auto nothing = link_.receive();
    ASSERT_TRUE(nothing.ok());
    EXPECT_FALSE(nothing.value().has_value());
    Reply started{};
    started.type = MessageType::kStarted;
    started.pid = 42;
    reply(started);
    const auto something = link_.receive();
    ASSERT_TRUE(something.ok() && something.value().has_value());
    EXPECT_EQ(something.value()->reply.pid, 42);
}

TEST_F(LinkTest, AnEndedInitAndANonsensicalOneAreErrors) {
    ASSERT_EQ(send(peer_.get(), "short", 5, 0), 5);
    EXPECT_EQ(link_.receive().error().code, EPROTO);
    peer_.reset();
    EXPECT_EQ(link_.receive().error().code, ECONNRESET);
}

TEST_F(LinkTest, WaitingForReadyHasADeadline) {
    EXPECT_EQ(link_.wait_ready(0).error().code, ETIMEDOUT);
    Reply ready{};
    ready.type = MessageType::kReady;
    reply(ready);
    EXPECT_TRUE(link_.wait_ready(0).ok());
}

TEST_F(LinkTest, AFailureSaysStageObjectAndErrno) {
    Reply failed{};
    failed.type = MessageType::kFailed;
    failed.stage = Stage::kMount;
    failed.code = ELOOP;
    std::memset(failed.object, 'x', sizeof(failed.object));  // not even its end can be relied on
    reply(failed);
    const auto ready = link_.wait_ready(0);
    ASSERT_FALSE(ready.ok());
    EXPECT_EQ(ready.error().code, ELOOP);
    EXPECT_EQ(ready.error().message,
              "mounting " + std::string(sizeof(failed.object), 'x') + ": Too many levels of symbolic links");
}

TEST(Stages, AllHaveNames) {
    for (auto stage = Stage::kControllers; stage <= Stage::kCommand;
         stage = static_cast<Stage>(static_cast<uint32_t>(stage) + 1)) {
        EXPECT_STRNE(stage_name(stage), "unknown stage") << static_cast<uint32_t>(stage);
    }
}

}  // namespace
}  // namespace hutch::runtime
