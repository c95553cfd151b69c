#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace hutch::netns {

/// The rules of a table of family inet as text, without counts and elements. Nothing when there is no such table.
Result<std::optional<std::string>> list_rules(const std::string& table);

/// Runs nft(8) commands in one transaction (all or nothing) and returns what they print. The error carries nft's own
/// words. Works on the network namespace of the calling thread.
Result<std::string> run_nft(const std::string& commands);

}  // namespace hutch::netns
