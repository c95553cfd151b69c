#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::client {

/// A process that waits for the end of ours, however it comes (SIGKILL too), and then does what has to be done. It is
/// in a session of its own, so that a terminal's interrupt does not reach it.
class Afterwards {
  public:
    /// `act` is called with all that it was told, and not at all if that is nothing; its answer is the exit code. Call
    /// this before anything that a process must not share with its parent, such as a connection.
    static Result<Afterwards> start(const std::function<int(const std::string&)>& act);
    Afterwards(Afterwards&&) = default;
    Afterwards(const Afterwards&) = delete;
    Afterwards& operator=(const Afterwards&) = delete;
    Afterwards& operator=(Afterwards&&) = delete;
    ~Afterwards() = default;

    Result<void> tell(const std::string& text);
    /// Has it done now, and waits for that; the exit code of `act`.
    Result<int> finish();

  private:
    Afterwards(pid_t pid, UniqueFd pipe) : pid_(pid), pipe_(std::move(pipe)) {}
    pid_t pid_;
    UniqueFd pipe_;  ///< its closing, by us or by the kernel, is what is waited for
};

/// SIGINT, SIGTERM and SIGHUP wait while this lives.
class HeldSignals {
  public:
    HeldSignals();
    HeldSignals(const HeldSignals&) = delete;
    HeldSignals& operator=(const HeldSignals&) = delete;
    HeldSignals(HeldSignals&&) = delete;
    HeldSignals& operator=(HeldSignals&&) = delete;
    ~HeldSignals();

  private:
    sigset_t before_{};
};

}  // namespace hutch::client
