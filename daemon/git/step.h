#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/memory_budget.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

/// Proves to one server who asks, and to no other.
struct Credential {
    std::string server;  ///< "https://github.com"
    std::string token;   ///< empty: none
};

/// "github.com" of "https://github.com".
std::string host_of(const std::string& server);

/// One call of the box's own git program.
struct GitStep {
    std::vector<std::string> args;  ///< after "git"
    std::string script{};           ///< of a shell, that is run instead, with those arguments; empty: none
    std::string folder;             ///< absolute, in the box
    Pairs env;
    Credential credential;
    std::optional<User> user{};     ///< none: boxuser
    bool commits = false;           ///< git is told the defaults of git_identity.h first, where it knows none
    bool recorded = true;           ///< false for what serves another step
    MemoryShare* memory = nullptr;  ///< where its output counts; without it, only the beginning is kept
};

struct GitAnswer {
    int64_t exit_code = 0;
    std::string output;
    std::string errors;
};

/// Runs it to its end. kInvalid when the folder is not there, kConflict when the box has no git. That git itself fails
/// is no error of this call.
Task<Result<GitAnswer>> run_step(Runs& runs, std::shared_ptr<Box> box, GitStep step);
/// What a step has said; as an error when it failed: kInvalid for a call that git does not understand, else kConflict.
Result<std::string> output_of(GitAnswer answer);
/// The one line of what git said that tells what went wrong.
std::string reason_of(const GitAnswer& answer);

}  // namespace hutch::daemon
