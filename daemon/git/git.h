#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/git/names.h"
#include "daemon/git/step.h"
#include "daemon/git_identity.h"

namespace hutch::daemon {

struct Commit {
    std::string message;
    std::string author_name;   ///< of this commit alone; empty: as the box's git is told
    std::string author_email;  ///< the same
};

/// What a pull request is about.
struct Origin {
    RepoName repo;
    std::string branch;  ///< that is checked out
};

struct CloneOrder {
    std::string repo;
    std::optional<std::string> branch;
    std::string into;   ///< absolute; empty: a directory of the repository's name, in the folder
    int64_t depth = 0;  ///< of how many commits; 0: of all
};

/// Git in one folder of a living box. Errors are those of run_step() and output_of(). What it is given has been checked
/// by the functions of names.h. Outlives its coroutines. Event loop thread only.
class Git {
  public:
    /// `memory`: where what a step says counts.
    Git(Runs& runs, MemoryShare& memory, std::shared_ptr<Box> box, std::string folder, Pairs env, Credential credential,
        User user)
        : runs_(runs),
          memory_(memory),
          box_(std::move(box)),
          folder_(std::move(folder)),
          env_(std::move(env)),
          credential_(std::move(credential)),
          user_(std::move(user)) {}

    /// Any call of git, however it ends; the credential is not for it.
    Task<Result<GitAnswer>> exec(std::vector<std::string> args);
    Task<Result<void>> clone(CloneOrder order);
    /// A line per file, as `git status --porcelain` has it; empty when there is no change. kConflict, here and in
    /// diff(), outside of a repository.
    Task<Result<std::string>> status();
    /// Everything since the last commit, staged or not, of files that git knows.
    Task<Result<std::string>> diff();
    /// Of all changes, new files too. The new commit's hash.
    Task<Result<std::string>> commit(Commit commit);
    /// The branch, or the one of that name at a remote; one that was never fetched is, from the origin. kConflict where
    /// there is none.
    Task<Result<void>> checkout(std::string branch);
    /// To the origin; the present branch if none is named.
    Task<Result<void>> push(std::optional<std::string> branch);
    /// kConflict where there is no origin, or no branch is checked out.
    Task<Result<Origin>> origin();
    /// Sets what is not empty, for every repository of the box; what then holds.
    Task<Result<Identity>> identify(Identity identity);

  private:
    GitStep step(std::vector<std::string> args) const;
    /// For what serves another step.
    Task<Result<GitAnswer>> look(std::vector<std::string> args);
    Task<Result<std::string>> run(GitStep step);
    /// Why the origin's branch cannot be had; nothing when it is here now.
    Task<Result<std::optional<std::string>>> fetch(std::string branch);
    [[nodiscard]] Result<void> check_repository(const GitAnswer& said) const;

    Runs& runs_;
    MemoryShare& memory_;
    std::shared_ptr<Box> box_;
    std::string folder_;
    Pairs env_;
    Credential credential_;
    User user_;
};

}  // namespace hutch::daemon
