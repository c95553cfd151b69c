#pragma once

#include "daemon/store/records.h"
#include "daemon/wire/transcript.h"

namespace hutch::daemon {

/// Writes down what a prompt has taken, in its record and in its agent's totals. A program that tells what the whole
/// session has taken is charged for what came on top since the last prompt that told; of one that broke off, with the
/// next.
void charge(const AgentResult& result, AgentRecord& agent, PromptRecord& prompt);

}  // namespace hutch::daemon
