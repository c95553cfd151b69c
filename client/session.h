#pragma once

#include <string>

#include "base/result.h"
#include "client/http.h"

namespace hutch::client {

/// An interactive run over a WebSocket:
///
///     client                                 daemon
///       text: hello (JSON)  ------------------>
///       binary: stdin bytes ------------------>
///       text: {"resize":...} / {"eof":true} -->
///       <------------------ binary: output bytes
///       <------------------ text: {"exit_code":...} or {"error":...}, then close
struct SessionPlan {
    std::string target;
    std::string hello;
    enum class Input { kNone, kStdin } input = Input::kNone;
    /// kRaw: keys go through as they are while the session lasts, and the window's size follows.
    enum class Terminal { kAsIs, kRaw } terminal = Terminal::kAsIs;
};

struct SessionEnd {
    std::string final_frame;  ///< the daemon's last text frame; empty if a signal ended us first
    int signal = 0;
};

/// Runs to the end of the session. The terminal is restored on every way out, SIGINT, SIGTERM, SIGHUP and SIGQUIT
/// included (they end the session here; the run in the box is the daemon's to decide on). SIGPIPE is ignored from
/// then on, since it would end us with the terminal still raw.
Result<SessionEnd> run_session(const Endpoint& endpoint, const SessionPlan& plan);

}  // namespace hutch::client
