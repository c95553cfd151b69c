#pragma once

#include "base/result.h"
#include "daemon/config.h"
#include "netns/config.h"

namespace hutch::daemon {

/// What the host's side of all boxes is called and where it lives. kInvalid names the option.
Result<netns::Config> network_of(const Config& config);

/// The file that a running hutchd of this name holds locked (fcntl(2)), and whether one does. Not to be asked for one's
/// own name: a process that closes the file gives its own lock back.
std::string lock_file_of(const std::string& name);
bool is_running(const std::string& name);

}  // namespace hutch::daemon
