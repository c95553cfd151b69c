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
///       text: {"resize":...} / {"eof":true} / {"signal":...} -->
///       <------------------ binary: output bytes
///       <------------------ text: {"exit_code":...} or {"error":...}, then close
struct SessionPlan {
    std::string target;
    std::string hello;
    enum class Input { kNone, kStdin } input = Input::kNone;
    /// kRaw: keys go through as they are while the session lasts, and the window's size follows.
    enum class Terminal { kAsIs, kRaw } terminal = Terminal::kAsIs;
    /// kApart, as the hello asks for: the first byte of each message of output tells the stream, 2 being errors.
    enum class Errors { kMerged, kApart } errors = Errors::kMerged;
};

struct SessionEnd {
    std::string final_frame;  ///< the daemon's last text frame; empty if a signal ended us first
    int signal = 0;
    bool interrupted = false;  ///< the command was sent one by us
};

/// Runs to the end of the session. The terminal is restored on every way out, SIGINT, SIGTERM, SIGHUP and SIGQUIT
/// included. From a raw terminal they end the session, and the daemon ends the run; else the first is passed on to the
/// command, the second kills it, and the third ends the session. SIGPIPE is ignored from then on, since it would end us
/// with the terminal still raw; a command whose output nobody reads any more gets it.
Result<SessionEnd> run_session(const Endpoint& endpoint, const SessionPlan& plan);

}  // namespace hutch::client
