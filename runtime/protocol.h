#pragma once

// What hutchd and hutch-init say to each other, over one SOCK_SEQPACKET pair per box. Both are always of one build
// (init is embedded in the daemon's runtime library), except across a daemon upgrade: kProtocolVersion guards that.
//
//   hutchd                                     hutch-init (PID 1 of the box)
//     | -- Setup [root, /dev, views...] -------> |   queued before init exists, so no round trip
//     | -- Name {hostname} --------------------> |   at once, or when somebody gets a box that was made ahead
//     | <------------------------ Reply kReady - |   or kFailed {stage, errno, object}, of the set-up too
//     | -- Run [leaf, stdin, stdout, stderr, --> |   with a tty: [leaf]
//     |         kept...]                         |
//     | <------ Reply kStarted {pid} [pty] ----- |   or kFailed {stage, errno, object}
//     | <------------- Reply kExited {status} -- |   wait status as wait(2) gives it
//     | -- Signal {run, signal} ---------------> |   to the command's process group
//     | -- Forget {run} -----------------------> |
//
// Until Forget, init keeps what the command's output can still be read from (the `kept` ends of its pipes, or the
// terminal's master side) and its exit status: neither is lost with the daemon. The next one asks for them:
//
//     | -- Report {number} --------------------> |
//     | <------- Reply kHeld {run, pid} [kept] - |   for each run, those that have ended too
//     | <----------- Reply kReportEnd {number} - |   followed by kExited of each that has ended
//
// Plain C structures: init has no allocator and no C++ run time worth the name.

#include <linux/filter.h>

#include <cstdint>

#include "runtime/nesting.h"

namespace hutch::runtime {

constexpr uint32_t kProtocolVersion = 4;

/// Descriptors init is started with. kPeerFd is a duplicate of the daemon's own end: init keeps it so that the pair
/// survives the daemon, and the next daemon takes it back with pidfd_getfd(2).
constexpr int kControlFd = 3;
constexpr int kPeerFd = 4;

constexpr uint32_t kMaxMessage = 192 * 1024;  ///< of one packet, strings included
constexpr uint32_t kMaxStrings = 8192;        ///< arguments and environment of one command, and three for init's use
constexpr uint32_t kMaxFilter = 4096;         ///< instructions of the box's seccomp program (BPF_MAXINSNS)
constexpr uint32_t kMaxRunFilter = 256;       ///< and of the one added in each run

constexpr uint32_t kTerminalsPerBox = 256;  ///< at a time; the kernel's own limit (kernel.pty.max) is one for all

constexpr uint32_t kMaxKept = 2;  ///< descriptors that init keeps of one run

enum class MessageType : uint32_t {
    kSetup = 1,
    kRun,
    kReady,
    kFailed,
    kStarted,
    kExited,
    kForget,
    kReport,
    kHeld,
    kReportEnd,
    kSignal,
    kName,
};

/// Where something failed. Names for people in stage_name().
enum class Stage : uint32_t {
    kNone = 0,
    // in the child that becomes init
    kControllers,  // writing a v1 "tasks" file
    kNetwork,      // setns of the slot
    kCradle,       // setns of the empty mount namespace
    kUser,         // setns of the user namespace, becoming its root
    kClone,        // the namespaces proper
    kExec,
    // in init
    kReceive,
    kRoot,
    kMount,
    kMachine,
    kMask,
    kPivot,
    kHostname,
    kEtc,
    kCapabilities,
    kSeccomp,
    // of a run
    kTerminal,
    kLeaf,
    kCredentials,
    kWorkDir,
    kCommand,
};

/// Detached mounts that init puts in their places.
enum View : uint32_t {
    kSysfs,
    kUnifiedGroup,  ///< the box's own group, read-only: on v2,
    kMemoryGroup,   ///< and where these controllers are on v1, there
    kCpuGroup,
    kCpusetFile,  ///< one file, whatever it says: for the line of its hierarchy in mountinfo
    kCpuacctFile,
    kViews,
};

struct Setup {
    MessageType type;
    uint32_t version;
    char hostname[65];      ///< unless it gets another by Name
    char address[16];       ///< the box's IPv4 address, for /etc/hosts
    char nameserver[16];    ///< for /etc/resolv.conf
    uint64_t shm_bytes;     ///< size limit of /dev/shm
    uint64_t memory_bytes;  ///< what the box is told that its machine has
    uint32_t cpus;
    uint32_t cpus_shown;  ///< 0: as many as the host has are no more than `cpus`
    uint32_t pids;
    uint32_t views;         ///< of the View's, a bit for each whose descriptor comes with it, in their order
    uint64_t capabilities;  ///< of the bounding set, a bit for each
    uint32_t box_filter;    ///< instructions that follow: the box's program, inherited by every run
    uint32_t run_filter;    ///< then these: added in each run just before exec
    Nesting nesting;
    // sock_filter[box_filter], sock_filter[run_filter]
};

/// What a box gets last: until then nothing has run in it, and it knows nothing of whose it will be.
struct Name {
    MessageType type;
    char hostname[65];
};

enum RunChoice : uint16_t {
    kFallBack = 1,  ///< without its working directory it runs in "/", and is told so
    kNoInput = 2,   ///< its standard input is the box's own /dev/null, not what came with the message
};

struct Run {
    MessageType type;
    uint32_t argc;
    uint64_t run_id;
    uint32_t envc;
    uint32_t uid;  ///< inside the box
    uint32_t gid;
    uint32_t tty;  ///< 1: a new pty of rows x cols is the command's terminal, its master comes back with kStarted
    uint16_t rows;
    uint16_t cols;
    // An init of before these has nothing in their place.
    uint16_t defaults;  ///< so many of the first of env give way to what the box's /etc/environment says
    uint16_t choices;   ///< of the RunChoice's
    // argv[argc], env[envc], working directory: each NUL-terminated, one after the other
};

static_assert(sizeof(Run) == 40, "an earlier hutchd's inits live on, and read it as it was");

/// kForget or kSignal of a run, or kReport. A report has a number of its own as run_id: the end of one that an earlier
/// daemon asked for may still be in the queue.
struct Request {
    MessageType type;
    uint32_t signal;  ///< kSignal: its number; else unused
    uint64_t run_id;
};

struct Reply {
    MessageType type;
    Stage stage;
    uint64_t run_id;
    int32_t code;     ///< kFailed: errno; kExited: wait status
    int32_t pid;      ///< kStarted, kHeld: as the box sees it; 0 for one that has ended
    char object[64];  ///< kFailed: what it failed on
};

}  // namespace hutch::runtime
