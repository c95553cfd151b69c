#pragma once

// hutch-init: PID 1 of a box. Static, single-threaded, no allocation, no C++ exceptions. It finishes its own set-up,
// then starts commands on request and reaps whatever ends. It is non-dumpable: nothing in the box can trace it or
// take its descriptors.

#include <sys/types.h>

#include "runtime/protocol.h"

namespace hutch::runtime::init {

/// A packet as received: at most kMaxMessage bytes and four descriptors, all CLOEXEC.
struct Packet {
    alignas(16) char bytes[kMaxMessage + 1];  // one more, so that strings always end
    size_t size;
    int fds[4];
    size_t fd_count;
};

/// False when nothing usable came (kControlFd is in blocking mode); errno says why, 0 for a closed peer.
bool receive(Packet& packet);
void send_reply(const Reply& reply, int fd = -1);
/// kFailed with the current errno, on `object`.
Reply failure(Stage stage, const char* object, uint64_t run_id = 0);

/// What set-up leaves behind for running commands.
struct Context {
    sock_fprog run_filter;
};

/// Everything from the bare cradle to a finished box. On failure `failed` says where.
bool set_up(const Packet& packet, Context& context, Reply& failed);

/// Starts one command; the reply is kStarted or kFailed. `terminal`: the master side to hand over, or -1.
Reply start_command(Packet& packet, const Context& context, int& terminal);

}  // namespace hutch::runtime::init
