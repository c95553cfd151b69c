#pragma once

#include <string>

#include "base/result.h"

namespace hutch::netns {

/// Runs nft(8) commands in one transaction (all or nothing) and returns what they print. The error carries nft's own
/// words. Works on the network namespace of the calling thread.
Result<std::string> run_nft(const std::string& commands);

}  // namespace hutch::netns
