#pragma once

#include <memory>
#include <string>

#include "daemon/git/step.h"

namespace hutch::daemon {

/// A directory with a SKILL.md, in a repository; or, without a name of its own, all that are in the repository.
struct SkillName {
    std::string owner;
    std::string repo;
    std::string skill;

    [[nodiscard]] std::string id() const { return owner + "/" + repo + (skill.empty() ? "" : "/" + skill); }
};
/// From "owner/repo" or "owner/repo/skill". kInvalid, naming `field`, for anything else.
Result<SkillName> parse_skill(const std::string& field, const std::string& id);

/// Clones the repository and puts its skills where agents look for them: ~/.agents/skills (Codex, OpenCode) and
/// ~/.claude/skills (Claude Code). One that is there already is made anew. Whole or not at all. kInvalid when the
/// repository has no such skill, kConflict when it cannot be cloned, or one of another origin has the name.
Task<Result<void>> install_skill(Runs& runs, std::shared_ptr<Box> box, Pairs env, Credential credential,
                                 SkillName name);
Task<Result<void>> remove_skill(Runs& runs, std::shared_ptr<Box> box, SkillName name);

}  // namespace hutch::daemon
