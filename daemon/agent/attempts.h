#pragma once

#include <string>

#include "daemon/agent/harness.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

// A prompt whose answer may have to be asked for again is one run all the same: a shell runs the program, writes a line
// of its end to its output, and waits to be told what is next.
//
//     box: program ... "hutch-attempt 1 0" waits ......... program again ... "hutch-attempt 2 0" waits ......... exit
//     daemon:                    reads, judges, tells 1                     reads, judges, tells 2
//
// All that the daemon must know is in the output: one that was started meanwhile reads it, and goes on from there.

/// A command whose argv is run in attempts; `run_id` has been set.
Command in_attempts(Command command);
/// What is next: the program once more, told this; or the end, with the exit code of the last attempt.
std::string next_attempt(const Invocation& how);
constexpr const char* kNoMoreAttempts = "exit \"$hutch_code\"\n";
/// Tells it to the shell that waits after this attempt. Told twice, by a daemon that did not know of it, it counts
/// once.
Task<Result<void>> tell_next(Runs& runs, std::shared_ptr<Box> box, std::string run, int64_t attempt, std::string next);

}  // namespace hutch::daemon
