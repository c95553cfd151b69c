#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace hutch::netns {

/// nft(8), for what is loaded or listed once: at a start, when others have changed the firewall, by `hutchd doctor`.
/// What changes while boxes come and go are messages (nft_batch.h), at a tenth of the cost.

/// The rules of a table of family inet as text, without counts and elements. Nothing when there is no such table.
Result<std::optional<std::string>> list_rules(const std::string& table);

/// Runs nft(8) commands in one transaction (all or nothing) and returns what they print. The error carries nft's own
/// words. Works on the network namespace of the calling thread, with its power. `process`: set to who did it, where the
/// program could be run.
Result<std::string> run_nft(const std::string& commands, pid_t* process = nullptr);

}  // namespace hutch::netns
