// Git in a box: clone, look, commit, push.

#include <algorithm>

#include "daemon/api/resources.h"
#include "daemon/files/files.h"
#include "daemon/git/git.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kLongestMessage = 64 * 1024;
constexpr size_t kLongestIdentity = 256;

Result<void> check_line(const std::string& field, const std::string& text) {
    const bool control = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
    if (control || text.size() > kLongestIdentity || text.find_first_of("<>") != std::string::npos) {
        return invalid(field + ": must be one line of at most 256 characters, without < and >");
    }
    return {};
}

Result<std::string> line_or_nothing(const Fields& fields, const char* field) {
    std::string text = TRY(fields.text_or(field, ""));
    TRY(check_line(field, text));
    return text;
}

Result<std::string> decode_folder(const std::string& folder) {
    if (folder.find('\0') != std::string::npos) return invalid("folder: must not contain a NUL character");
    return absolute_path(folder);
}

Result<Git> git_in(Services& services, const std::shared_ptr<Box>& box, const std::string& folder) {
    return Git(services.runs, box, TRY(decode_folder(folder)), TRY(environment_of(services, *box)), Credential{});
}

Result<Git> git_of(Services& services, const std::shared_ptr<Box>& box, const Fields& fields) {
    return git_in(services, box, TRY(fields.text_or("folder", "")));
}

Result<Git> git_of(Services& services, const std::shared_ptr<Box>& box, const Exchange& exchange) {
    const auto& query = exchange.request().query;
    const auto folder = query.find("folder");
    return git_in(services, box, folder == query.end() ? "" : folder->second);
}

Result<std::optional<std::string>> decode_branch(const Fields& fields) {
    auto branch = TRY(fields.text("branch"));
    if (branch && branch->empty()) branch.reset();
    if (branch) TRY(check_branch("branch", *branch));
    return branch;
}

Answer clone(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string given, fields.required_text("repo"));
    CO_TRY_LET(const std::string repo, checked_repo("repo", given));
    CO_TRY_LET(const auto branch, decode_branch(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, fields));
    CO_TRY(co_await git.clone(repo, branch));
    CO_TRY(services.boxes.change(*box, [&given](BoxRecord& record) { record.clone_repo = given; }));
    co_return std::optional(Response{});
}

Answer exec(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::vector<std::string> args, fields.texts("args"));
    if (args.empty()) co_return invalid("args: is required, an array of strings: what follows \"git\"");
    for (const std::string& argument : args) {
        if (argument.find('\0') != std::string::npos) co_return invalid("args: contains a NUL character");
    }
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, fields));
    CO_TRY_LET(std::string output, co_await git.exec(args));
    co_return std::optional(answer(Json{{"output", std::move(output)}}));
}

Answer status(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, exchange));
    CO_TRY_LET(std::string status, co_await git.status());
    co_return std::optional(answer(Json{{"status", std::move(status)}}));
}

Answer diff(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, exchange));
    CO_TRY_LET(std::string diff, co_await git.diff());
    co_return std::optional(answer(Json{{"diff", std::move(diff)}}));
}

Result<Commit> decode_commit(const Fields& fields) {
    Commit commit;
    commit.message = TRY(fields.required_text("message"));
    if (commit.message.empty() || commit.message.size() > kLongestMessage ||
        commit.message.find('\0') != std::string::npos) {
        return invalid("message: must be from 1 to 65536 bytes of text, without a NUL character");
    }
    commit.author_name = TRY(line_or_nothing(fields, "author_name"));
    commit.author_email = TRY(line_or_nothing(fields, "author_email"));
    return commit;
}

Answer commit(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Commit commit, decode_commit(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, fields));
    CO_TRY_LET(const std::string sha, co_await git.commit(commit));
    co_return std::optional(answer(Json{{"sha", sha}, {"message", commit.message}}));
}

Answer checkout(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string branch, fields.required_text("branch"));
    CO_TRY(check_branch("branch", branch));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, fields));
    CO_TRY(co_await git.checkout(branch));
    co_return std::optional(Response{});
}

Answer configure(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    Identity identity;
    CO_TRY_LET(identity.name, line_or_nothing(fields, "git_user_name"));
    CO_TRY_LET(identity.email, line_or_nothing(fields, "git_user_email"));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, box, fields));
    CO_TRY_LET(const Identity effective, co_await git.identify(identity));
    co_return std::optional(answer(Json{{"git_user_name", effective.name}, {"git_user_email", effective.email}}));
}

}  // namespace

void add_git_routes(Router& router, Services& services) {
    const auto add = [&](const char* method, const char* name, Answer (*handler)(Services&, Exchange&, const Params&)) {
        router.add(method, std::string("/v2/box/{id}/") + name,
                   [&services, handler](Exchange& exchange, const Params& params) {
                       return handler(services, exchange, params);
                   });
    };
    add("POST", "git/clone", clone);
    add("POST", "git/exec", exec);
    add("GET", "git/status", status);
    add("GET", "git/diff", diff);
    add("POST", "git/commit", commit);
    add("POST", "git/checkout", checkout);
    add("PUT", "git-config", configure);
}

}  // namespace hutch::daemon
