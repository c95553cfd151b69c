#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
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
    std::string work_dir;
    uid_t uid = 0;  ///< inside the box
    gid_t gid = 0;
    int leaf = -1;                    ///< cgroup directory the command is cloned into
    int in = -1, out = -1, err = -1;  ///< ignored with a terminal
    struct Terminal {
        uint16_t rows, cols;
    };
    std::optional<Terminal> terminal;
};

struct Message {
    Reply reply{};
    UniqueFd terminal;  ///< kStarted of a run with a terminal: its master side
};

/// The daemon's end of a box's control socket. Non-blocking; not thread-safe.
class Link {
  public:
    Link() = default;
    explicit Link(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }

    /// Hands a command to init. kTooLarge when arguments and environment exceed kMaxMessage or kMaxStrings, kInvalid
    /// for none at all or one that holds a NUL, kLimit when init is too far behind to take more.
    Result<void> send(const RunSpec& spec);
    /// The next message, or nothing when there is none now. ECONNRESET when init is gone.
    Result<std::optional<Message>> receive();
    /// Waits for init to report kReady; the failed stage as an error otherwise. Blocks up to `deadline_ms`.
    Result<void> wait_ready(int deadline_ms);

  private:
    UniqueFd socket_;
};

/// kFailed as an error: "mounting (proc): Operation not permitted".
Error failure_of(const Reply& reply);
const char* stage_name(Stage stage);

}  // namespace hutch::runtime
