#pragma once

#include <optional>
#include <string>

#include "daemon/box/box.h"

namespace hutch::daemon {

/// How a run ended, by a word: exited, signal, timeout, cancelled or out_of_memory.
const char* exit_reason_of(const RunRecord& run);
/// A signal's name without SIG: "KILL". Its number for one that has none.
std::string signal_name(int64_t signal);
/// The signal of that name; nothing for one that clients may not send.
std::optional<int> signal_of(const std::string& name);
/// What ended it, in one sentence for people; empty for a command that exited, or that its client has cancelled.
std::string sentence_of(const RunRecord& run);

/// How many processes of the living box the kernel has killed for want of memory; nothing when that is not known.
std::optional<int64_t> oom_kills_of(const Box& box);
/// Finds out whether that is what ended a command of the box that has just failed, and tells it in the record.
void note_memory(const Box& box, RunRecord& run);

}  // namespace hutch::daemon
