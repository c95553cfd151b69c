#pragma once

#include "base/unique_fd.h"
#include "daemon/async.h"

namespace hutch::daemon {

// What a service manager and its service tell each other (sd_notify(3), sd_listen_fds(3)). Without one, all of this
// does nothing.

/// The listening Unix socket handed over, or an empty descriptor. kInvalid where something else was.
Result<UniqueFd> socket_handed_over();

void notify_ready();
void notify_stopping();

/// Runs on the event loop, for as long as it does: a loop that is stuck is a daemon to be replaced.
Task<> feed_watchdog();

}  // namespace hutch::daemon
