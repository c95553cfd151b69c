#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/protocol.h"

namespace hutch::runtime {

/// One command for a box's init. The descriptors stay the caller's.
struct RunSpec {
    uint64_t id = 0;                ///< chosen by the caller; every reply about this run carries it
    std::vector<std::string> argv;  ///< argv[0] is looked up in the PATH of `env`, inside the box
    std::vector<std::string> env;   ///< "NAME=value"
    uint16_t defaults = 0;          ///< so many of the first of `env` give way to the box's /etc/environment
    std::string work_dir;
    bool fall_back = false;  ///< to "/" where there is no such directory; the command is told by its standard error
    uid_t uid = 0;           ///< inside the box
    gid_t gid = 0;
    int leaf = -1;  ///< cgroup directory the command is cloned into
    int in = -1;    ///< -1: the box's /dev/null. This and the next two are ignored with a terminal
    int out = -1, err = -1;
    /// What init is to keep until forget(): the read ends of the output pipes. The terminal's master it keeps anyway.
    std::vector<int> kept;
    struct Terminal {
        uint16_t rows, cols;
    };
    std::optional<Terminal> terminal;
};

struct Message {
    Reply reply{};
    /// kStarted of a run with a terminal: its master side. kHeld: what was kept, in the order it was given.
    std::array<UniqueFd, kMaxKept> fds;
    bool fds_lost = false;  ///< some came, and this process had no room for them (recvmsg(2), MSG_CTRUNC)
};

/// The daemon's end of a box's control socket. Non-blocking; not thread-safe.
class Link {
  public:
    Link() = default;
    explicit Link(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }

    /// Names a box, once, which finishes it. Names beyond 64 bytes are cut (sethostname(2)). wait_ready() comes next:
    /// an init that has failed before, and is gone, has left word there.
    Result<void> name(const std::string& hostname);
    /// Hands a command to init. kTooLarge when arguments and environment exceed kMaxMessage or kMaxStrings, kInvalid
    /// for none at all or one that holds a NUL, kLimit when init is too far behind to take more.
    Result<void> send(const RunSpec& spec);
    /// Its end is known and its output taken: init lets go of both. kLimit when init is too far behind to listen; it
    /// then keeps them for the next daemon.
    Result<void> forget(uint64_t run);
    /// Sends `signal` to the command's process group, as a terminal does; nothing when it has ended. An init of an
    /// earlier build takes it for a bad request, and answers kFailed without a run.
    Result<void> signal(uint64_t run, int signal);
    /// Asks for everything that init holds; kHeld for each run and kReportEnd with this number are the answer.
    Result<void> ask_report(uint64_t number);
    /// The next message, or nothing when there is none now. ECONNRESET when init is gone.
    Result<std::optional<Message>> receive();
    /// Waits for init to report kReady; the failed stage as an error otherwise. Blocks up to `deadline_ms`.
    Result<void> wait_ready(int deadline_ms);

  private:
    Result<void> send_packet(std::string_view packet, std::span<const int> fds);
    UniqueFd socket_;
};

/// kFailed as an error: "mounting (proc): Operation not permitted".
Error failure_of(const Reply& reply);
const char* stage_name(Stage stage);

}  // namespace hutch::runtime
