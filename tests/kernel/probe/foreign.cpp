#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/kernel/probe/probe.h"

namespace hutch::probe {
namespace {

// socket(2) in the caller's own ABI; arguments: family, type, protocol. All 64 bits of the
// family and of the protocol reach the filter.
long native_socket(char** arguments) {
    return syscall(SYS_socket, strtoul(arguments[0], nullptr, 0), atoi(arguments[1]),
                   strtoul(arguments[2], nullptr, 0));
}

long socket_pair(char** arguments) {
    int pair[2];
    return socketpair(atoi(arguments[0]), SOCK_STREAM, 0, pair);
}

#if defined(__x86_64__)
long answer(long result) {
    if (result >= 0) return result;
    errno = static_cast<int>(-result);
    return -1;
}

// The door of 32-bit programs, open to 64-bit ones too.
long i386_call(long number, long first, long second, long third) {
    long result = number;
    asm volatile("int $0x80" : "+a"(result) : "b"(first), "c"(second), "d"(third) : "r8", "r9", "r10", "r11", "memory");
    return answer(static_cast<int>(result));
}

// The x32 ABI: native calls with a bit set in the number.
long x32_call(long number, long first, long second, long third) {
    constexpr long kX32 = 0x40000000;
    long result = 0;
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(kX32 | number), "D"(first), "S"(second), "d"(third)
                 : "rcx", "r11", "memory");
    return answer(result);
}

constexpr long kI386Getpid = 20;
constexpr long kI386Socket = 359;
constexpr long kI386Unshare = 310;
constexpr long kNewUser = 0x10000000;
#endif

constexpr Attempt kAttempts[] = {
    {"socket", native_socket},
    {"socketpair", socket_pair},
#if defined(__x86_64__)
    {"i386-getpid", [](char**) { return i386_call(kI386Getpid, 0, 0, 0); }},
    {"i386-socket-alg", [](char**) { return i386_call(kI386Socket, AF_ALG, SOCK_SEQPACKET, 0); }},
    {"i386-socket-inet", [](char**) { return i386_call(kI386Socket, AF_INET, SOCK_STREAM, 0); }},
    {"i386-unshare-user", [](char**) { return i386_call(kI386Unshare, kNewUser, 0, 0); }},
    {"x32-getpid", [](char**) { return x32_call(SYS_getpid, 0, 0, 0); }},
    {"x32-socket-alg", [](char**) { return x32_call(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0); }},
    {"x32-unshare-user", [](char**) { return x32_call(SYS_unshare, kNewUser, 0, 0); }},
#endif
};

}  // namespace

std::span<const Attempt> foreign_attempts() {
    return kAttempts;
}

}  // namespace hutch::probe
