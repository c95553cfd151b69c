#pragma once

#include "daemon/agent/harness.h"
#include "daemon/box/box.h"
#include "daemon/run/command.h"
#include "daemon/workers.h"

namespace hutch::daemon {

// Whether an agent can begin at all, found out before anything is started for it.

/// For a prompt to an agent whose model hutchd has no key for: kConflict, saying which to set, unless the box brings a
/// way to the model of its own. That is a variable of `surroundings` or a file of its user's home which the program
/// reads; a provider that hutchd does not know; or one that answers some models without a key.
Task<Result<void>> check_own_way(Workers& workers, std::shared_ptr<Box> box, const AgentRecord& agent,
                                 const Harness& harness, const Command& surroundings);

/// For a box that was just made: kInvalid, saying what to do, where it lacks the program that its agent is.
Task<Result<void>> check_program(Workers& workers, std::shared_ptr<Box> box, const Harness& harness);

}  // namespace hutch::daemon
