#include "daemon/git/git.h"

namespace hutch::daemon {
namespace {

constexpr const char* kEmptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";  // git hash-object -t tree /dev/null

// For coroutines, in which GCC 12 cannot have a braced list in an awaited call.
template <typename... Words>
std::vector<std::string> words(Words&&... each) {
    return {std::string(std::forward<Words>(each))...};
}

std::string without_line_end(std::string text) {
    while (text.ends_with("\n")) text.pop_back();
    return text;
}

}  // namespace

GitStep Git::step(std::vector<std::string> args) const {
    return {
        .args = std::move(args), .folder = folder_, .env = env_, .credential = {}, .user = user_, .memory = &memory_};
}

Task<Result<GitAnswer>> Git::look(std::vector<std::string> args) {
    GitStep looking = step(std::move(args));
    looking.recorded = false;
    co_return co_await run_step(runs_, box_, std::move(looking));
}

Task<Result<std::string>> Git::run(GitStep step) {
    CO_TRY_LET(GitAnswer answer, co_await run_step(runs_, box_, std::move(step)));
    co_return output_of(std::move(answer));
}

Task<Result<GitAnswer>> Git::exec(std::vector<std::string> args) {
    GitStep call = step(std::move(args));
    call.commits = true;  // it may
    co_return co_await run_step(runs_, box_, std::move(call));
}

Task<Result<void>> Git::clone(CloneOrder order) {
    GitStep cloning = step(words("clone"));
    if (order.branch) cloning.args.push_back("--branch=" + *order.branch);
    if (order.depth > 0) cloning.args.push_back("--depth=" + std::to_string(order.depth));
    cloning.args.insert(cloning.args.end(), {"--", std::move(order.repo)});
    if (!order.into.empty()) cloning.args.push_back(std::move(order.into));
    cloning.commits = true;
    cloning.credential = credential_;
    CO_TRY(co_await run(std::move(cloning)));
    co_return Result<void>();
}

// What git says of it speaks of parent directories and file systems; of a diff it lists the options.
Result<void> Git::check_repository(const GitAnswer& said) const {
    if (said.exit_code == 0 || said.errors.find("not a git repository") == std::string::npos) return {};
    return Error{ErrorKind::kConflict, 0,
                 "folder: \"" + folder_ + "\" is not a git repository, nor in one; say the folder of one"};
}

Task<Result<std::string>> Git::status() {
    CO_TRY_LET(const GitAnswer found, co_await look(words("rev-parse", "--git-dir")));
    CO_TRY(check_repository(found));
    co_return co_await run(step(words("status", "--porcelain")));
}

Task<Result<std::string>> Git::diff() {
    CO_TRY_LET(const GitAnswer head, co_await look(words("rev-parse", "--verify", "--quiet", "HEAD")));
    CO_TRY(check_repository(head));
    const std::string since = head.exit_code == 1 ? kEmptyTree : "HEAD";  // 1: nothing is committed yet
    co_return co_await run(step(words("diff", since, "--")));
}

Task<Result<std::string>> Git::commit(Commit commit) {
    CO_TRY_LET(GitAnswer added, co_await look(words("add", "--all")));
    CO_TRY(output_of(std::move(added)));
    GitStep committing = step(words("commit", "--message=" + commit.message));
    committing.commits = true;
    if (!commit.author_name.empty()) committing.env.emplace_back("GIT_AUTHOR_NAME", commit.author_name);
    if (!commit.author_email.empty()) committing.env.emplace_back("GIT_AUTHOR_EMAIL", commit.author_email);
    CO_TRY(co_await run(std::move(committing)));
    CO_TRY_LET(GitAnswer head, co_await look(words("rev-parse", "HEAD")));
    CO_TRY_LET(std::string sha, output_of(std::move(head)));
    co_return without_line_end(std::move(sha));
}

// A clone of one branch, as --depth makes it, knows of no other: what it is to know stands in its configuration, and
// only then `git checkout` takes a branch of that name for the remote's.
Task<Result<std::optional<std::string>>> Git::fetch(std::string branch) {
    CO_TRY_LET(const GitAnswer shallow, co_await look(words("rev-parse", "--is-shallow-repository")));
    GitStep fetching = step(words("fetch", "--quiet"));
    if (shallow.output.starts_with("true")) fetching.args.emplace_back("--depth=1");
    fetching.args.emplace_back("origin");
    fetching.args.push_back("+refs/heads/" + branch + ":refs/remotes/origin/" + branch);
    fetching.credential = credential_;
    CO_TRY_LET(const GitAnswer fetched, co_await run_step(runs_, box_, std::move(fetching)));
    if (fetched.exit_code != 0) co_return std::optional(reason_of(fetched));
    CO_TRY_LET(const GitAnswer known, co_await look(words("config", "--get-all", "remote.origin.fetch")));
    if (known.output.find("refs/heads/*") == std::string::npos) {
        CO_TRY(co_await look(words("remote", "set-branches", "--add", "origin", branch)));
    }
    co_return std::optional<std::string>();
}

Task<Result<void>> Git::checkout(std::string branch) {
    CO_TRY_LET(GitAnswer found, co_await look(words("for-each-ref", "--format=%(refname)", "refs/heads/" + branch,
                                                    "refs/tags/" + branch, "refs/remotes/*/" + branch)));
    CO_TRY_LET(const std::string refs, output_of(std::move(found)));
    if (refs.empty()) {
        CO_TRY_LET(const auto reason, co_await fetch(branch));
        if (reason) {
            co_return Error{ErrorKind::kConflict, 0,
                            "branch: \"" + branch + "\" is neither here nor to be had from the origin (" + *reason +
                                "); `git switch -c " + branch + "` makes a new one"};
        }
    }
    CO_TRY(co_await run(step(words("checkout", std::move(branch), "--"))));
    co_return Result<void>();
}

Task<Result<void>> Git::push(std::optional<std::string> branch) {
    GitStep pushing = step(words("push", "--set-upstream", "origin", branch ? "refs/heads/" + *branch : "HEAD"));
    pushing.credential = credential_;
    CO_TRY(co_await run(std::move(pushing)));
    co_return Result<void>();
}

Task<Result<Origin>> Git::origin() {
    CO_TRY_LET(GitAnswer remote, co_await look(words("remote", "get-url", "origin")));
    CO_TRY_LET(std::string url, output_of(std::move(remote)));
    Origin origin;
    CO_TRY_LET(origin.repo, parse_remote(without_line_end(std::move(url))));
    CO_TRY_LET(GitAnswer head, co_await look(words("symbolic-ref", "--short", "HEAD")));
    CO_TRY_LET(std::string branch, output_of(std::move(head)));
    origin.branch = without_line_end(std::move(branch));
    co_return origin;
}

Task<Result<Identity>> Git::identify(Identity identity) {
    const std::pair<const char*, std::string*> settings[] = {{"user.name", &identity.name},
                                                             {"user.email", &identity.email}};
    for (const auto& [key, value] : settings) {
        if (value->empty()) continue;
        CO_TRY(co_await run(step(words("config", "--global", "--replace-all", key, *value))));
    }
    for (const auto& [key, value] : settings) {
        GitStep reading = step(words("config", key));
        reading.commits = true;
        reading.recorded = false;
        CO_TRY_LET(std::string effective, co_await run(std::move(reading)));
        *value = without_line_end(std::move(effective));
    }
    co_return identity;
}

}  // namespace hutch::daemon
