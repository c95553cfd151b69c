#include "daemon/git/skills.h"

#include <algorithm>

namespace hutch::daemon {
namespace {

constexpr int64_t kNoSkill = 70;
constexpr int64_t kNameTaken = 71;

// What came of one id is in one directory, and the agents' directories link to it: so it is known what to remove.
constexpr const char* kPlaces = R"sh(
set -eu
store=$HOME/.hutch/skills
target=$store/$HUTCH_SKILL_ID
forget() {
    for skill in "$target"/*; do
        for place in "$HOME/.agents/skills" "$HOME/.claude/skills"; do
            link=$place/${skill##*/}
            if [ "$(readlink "$link")" = "$skill" ]; then rm "$link"; fi
        done
    done
    rm -rf "$target"
}
)sh";

// One process, which ends and cleans up though the daemon does not live to see it.
constexpr const char* kInstall = R"sh(
command -v git >/dev/null || exit 127
mkdir -p "$store"
work=$(mktemp -d "$store/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
git "$@" "$work/repo" || exit
mkdir "$work/out"
cd "$work/repo"
rm -rf .git
found=
take() {
    found=1
    cp -R "$1" "$work/out/$2"
}
if [ -z "$HUTCH_SKILL_NAME" ] && [ -f SKILL.md ]; then
    take . "$HUTCH_SKILL_REPO"
elif [ -z "$HUTCH_SKILL_NAME" ] && [ -f skills/SKILL.md ]; then
    take skills "$HUTCH_SKILL_REPO"
else
    for place in skills .agents/skills .claude/skills .; do
        for file in "$place/"${HUTCH_SKILL_NAME:-*}/SKILL.md; do
            directory=${file%/SKILL.md}
            if [ -f "$file" ]; then take "$directory" "${directory##*/}"; fi
        done
        if [ "$found" ]; then break; fi
    done
fi
if [ -z "$found" ]; then exit 70; fi
for skill in "$work/out"/*; do
    for place in "$HOME/.agents/skills" "$HOME/.claude/skills"; do
        link=$place/${skill##*/}
        mkdir -p "$place"
        if [ ! -e "$link" ] && [ ! -L "$link" ]; then continue; fi
        if [ "$(readlink "$link")" = "$target/${skill##*/}" ]; then continue; fi
        echo "$link" >&2
        exit 71
    done
done
forget
trap 'rm -rf "$work"; forget' EXIT
mv "$work/out" "$target"
for skill in "$target"/*; do
    for place in "$HOME/.agents/skills" "$HOME/.claude/skills"; do ln -s "$skill" "$place/"; done
done
trap 'rm -rf "$work"' EXIT
)sh";

bool is_part(const std::string& part) {
    const auto plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
    return !part.empty() && part.size() <= 100 && std::isalnum(static_cast<unsigned char>(part.front())) != 0 &&
           std::all_of(part.begin(), part.end(), plain);
}

GitStep step_of(const SkillName& name, std::string script, Pairs env) {
    GitStep step;
    step.script = kPlaces + std::move(script);
    step.folder = "/";
    step.env = std::move(env);
    // "+" is in none of the parts.
    step.env.emplace_back("HUTCH_SKILL_ID",
                          name.owner + "+" + name.repo + (name.skill.empty() ? "" : "+") + name.skill);
    step.env.emplace_back("HUTCH_SKILL_REPO", name.repo);
    step.env.emplace_back("HUTCH_SKILL_NAME", name.skill);
    step.recorded = false;
    return step;
}

}  // namespace

Result<SkillName> parse_skill(const std::string& field, const std::string& id) {
    SkillName name;
    const size_t first = std::min(id.find('/'), id.size());
    const size_t second = std::min(id.find('/', first + 1), id.size());
    name.owner = id.substr(0, first);
    if (first < id.size()) name.repo = id.substr(first + 1, second - first - 1);
    if (second < id.size()) name.skill = id.substr(second + 1);
    const bool whole = second >= id.size() || is_part(name.skill);
    if (whole && is_part(name.owner) && is_part(name.repo)) return name;
    return invalid(field + ": \"" + id + "\" must be owner/repo or owner/repo/skill");
}

Task<Result<void>> install_skill(Runs& runs, std::shared_ptr<Box> box, Pairs env, Credential credential,
                                 SkillName name) {
    const std::string url = credential.server + "/" + name.owner + "/" + name.repo + ".git";
    GitStep step = step_of(name, kInstall, std::move(env));
    step.args = {"clone", "--quiet", "--depth=1", "--no-tags", "--", url};
    step.env.emplace_back("GIT_HTTP_LOW_SPEED_LIMIT", "1000");  // bytes a second
    step.env.emplace_back("GIT_HTTP_LOW_SPEED_TIME", "30");
    step.credential = std::move(credential);
    CO_TRY_LET(GitAnswer answer, co_await run_step(runs, std::move(box), std::move(step)));
    if (answer.exit_code == kNoSkill) {
        const std::string what = name.skill.empty() ? "" : "directory " + name.skill + " with a ";
        co_return invalid(name.id() + ": " + url + " has no " + what + "SKILL.md, at its top or in skills");
    }
    if (answer.exit_code == kNameTaken) {
        co_return Error{ErrorKind::kConflict, 0,
                        name.id() + ": " + reason_of(answer) + " is there already; remove that first"};
    }
    auto done = output_of(std::move(answer));
    if (!done.ok()) co_return std::move(done).error().in(name.id());
    co_return Result<void>();
}

Task<Result<void>> remove_skill(Runs& runs, std::shared_ptr<Box> box, SkillName name) {
    GitStep step = step_of(name, "forget\n", {});
    CO_TRY_LET(GitAnswer answer, co_await run_step(runs, std::move(box), std::move(step)));
    auto done = output_of(std::move(answer));
    if (!done.ok()) co_return std::move(done).error().in(name.id());
    co_return Result<void>();
}

}  // namespace hutch::daemon
