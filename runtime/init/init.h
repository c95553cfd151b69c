#pragma once

// hutch-init: PID 1 of a box. Static, single-threaded, no allocation, no C++ exceptions. It finishes its own set-up,
// then starts commands on request and reaps whatever ends. It is non-dumpable: nothing in the box can trace it or
// take its descriptors.

#include <sys/types.h>

#include "runtime/protocol.h"

namespace hutch::runtime::init {

/// A packet as received: at most kMaxMessage bytes and the descriptors of a Setup or a Run, all CLOEXEC.
struct Packet {
    alignas(16) char bytes[kMaxMessage + 1];  // one more, so that strings always end
    size_t size;
    int fds[2 + kViews];
    static_assert(2 + kViews >= 4 + kMaxKept);
    size_t fd_count;
    bool truncated;  // the kernel had no room for all of the descriptors
};

/// False when nothing usable came (kControlFd is in blocking mode); errno says why, 0 for a closed peer.
bool receive(Packet& packet);
/// Waits while the daemon is away and the queue is full.
void send_reply(const Reply& reply, const int* fds = nullptr, size_t fd_count = 0);
/// False when the queue is full now.
bool try_reply(const Reply& reply);
/// kFailed with the current errno, on `object`.
Reply failure(Stage stage, const char* object, uint64_t run_id = 0);

/// What set-up leaves behind for running commands.
struct Context {
    sock_fprog run_filter;
};

/// Everything from the bare cradle to a finished box, waiting for its name near the end. On failure `failed` says
/// where.
bool set_up(const Packet& packet, Context& context, Reply& failed);

/// Steps of that, in files of their own. On failure errno says why, `object` of what.
bool show_machine(const Setup& setup, const int* views, int root, const char*& object);
/// After the pivot.
bool write_names(const Setup& setup, const char* hostname, const char*& object);

/// Adds what /etc/environment says to the `count` variables of `env`, which has room for `room` and a null after them:
/// in the place of one of the first `defaults`, and only of those. Answers how many they are.
size_t add_environment(char** env, size_t count, size_t defaults, size_t room);
/// Makes TERM a usual one where the box knows that and not the one it is told.
void name_known_terminal(char** env, size_t count);

/// Starts one command; the reply is kStarted or kFailed. `terminal`: the master side, or -1.
Reply start_command(Packet& packet, const Context& context, int& terminal);

// runs.cpp: what is known of the runs until the daemon has taken it.

/// No room for one more.
bool runs_full();
/// Keeps the descriptors, which are its own from here on.
void hold_run(uint64_t id, pid_t pid, const int* kept, size_t count);
void forget_run(uint64_t id);
/// To the process group of its command, unless that has ended.
void signal_run(uint64_t id, int signal);
/// Becomes readable when what a forgotten run left in the background has written; -1 as long as there is no such thing.
int drains();
/// Takes a part of that, which goes nowhere.
void drain_some();
/// Reaps whatever has ended.
void reap_all();
/// Tells of each end that was not told yet. False when the queue is full: to be called again when there is room.
bool tell_ends();
/// kHeld for each run, then kReportEnd; all ends are to be told again.
void report_runs(uint64_t number);

}  // namespace hutch::runtime::init
