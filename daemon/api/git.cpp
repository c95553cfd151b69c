// Git in a box: clone, look, commit, push.

#include <algorithm>

#include "base/text.h"
#include "daemon/api/resources.h"
#include "daemon/files/files.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kLongestMessage = 64 * 1024;
constexpr size_t kLongestIdentity = 256;

Result<void> check_line(const std::string& field, const std::string& text) {
    if (has_control(text) || text.size() > kLongestIdentity || text.find_first_of("<>") != std::string::npos) {
        return invalid(field + ": must be one line of at most 256 characters, without < and >");
    }
    return {};
}

Result<std::string> line_or_nothing(const Fields& fields, const char* field) {
    std::string text = TRY(fields.text_or(field, ""));
    TRY(check_line(field, text));
    return text;
}

// The token of the call, or else of the box, for the one server it is for.
Result<Git> git_in(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box, const std::string& folder,
                   const std::string& token) {
    const Usual usual = services.images.usual_of(*box);
    return Git(services.runs, exchange.memory(), box, TRY(checked_folder(folder, usual.habits())),
               TRY(environment_of(services, *box)),
               Credential{services.config.github_url, token.empty() ? box->record.git_token : token}, usual.user);
}

Result<Git> git_of(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box) {
    const auto& query = exchange.request().query;
    const auto folder = query.find("folder");
    return git_in(services, exchange, box, folder == query.end() ? "" : folder->second, "");
}

Result<std::optional<std::string>> decode_branch(const Fields& fields) {
    auto branch = TRY(fields.text("branch"));
    if (branch && branch->empty()) branch.reset();
    if (branch) TRY(check_branch("branch", *branch));
    return branch;
}

Result<CloneOrder> decode_clone(const Fields& fields) {
    CloneOrder order;
    order.repo = TRY(checked_repo("repo", TRY(fields.required_text("repo"))));
    order.branch = TRY(decode_branch(fields));
    order.into = TRY(fields.text_or("folder", ""));
    TRY(checked_folder(order.into));
    const auto depth = TRY(fields.number("depth"));
    if (depth && (*depth < 1 || *depth > INT32_MAX)) {
        return invalid("depth: must be a number of commits, from 1 to 2147483647");
    }
    order.depth = depth.value_or(0);
    return order;
}

Answer clone(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string given, fields.required_text("repo"));
    CO_TRY_LET(CloneOrder order, decode_clone(fields));
    CO_TRY_LET(const std::string token, decode_git_token(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    if (!order.into.empty()) order.into = absolute_path(order.into, services.images.usual_of(*box).habits());
    CO_TRY_LET(Git git, git_in(services, exchange, box, "", token));
    CO_TRY(co_await git.clone(std::move(order)));
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
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY_LET(GitAnswer said, co_await git.exec(args));
    if (said.exit_code != 0) said.output += said.errors;  // there is where it says why
    co_return std::optional(answer(Json{{"output", std::move(said.output)}, {"exit_code", said.exit_code}}));
}

Answer status(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box));
    CO_TRY_LET(std::string status, co_await git.status());
    co_return std::optional(answer(Json{{"status", std::move(status)}}));
}

Answer diff(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box));
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
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY_LET(const std::string sha, co_await git.commit(commit));
    co_return std::optional(answer(Json{{"sha", sha}, {"message", commit.message}}));
}

Answer checkout(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string branch, fields.required_text("branch"));
    CO_TRY(check_branch("branch", branch));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY(co_await git.checkout(branch));
    co_return std::optional(Response{});
}

Answer push(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto branch, decode_branch(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY(co_await git.push(branch));
    co_return std::optional(Response{});
}

Answer configure(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const Identity identity, decode_identity(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY_LET(const Identity effective, co_await git.identify(identity));
    co_return std::optional(answer(Json{{"git_user_name", effective.name}, {"git_user_email", effective.email}}));
}

// The image may have no git yet, so git is not asked to.
Result<void> write_identity(const Files& files, const Identity& identity) {
    const std::string settings_path = files.absolute("~/.gitconfig");
    auto settings = files.read(settings_path, kMaxJsonBody);
    if (!settings.ok() && settings.error().kind != ErrorKind::kNotFound) return std::move(settings).error();
    return files.write(settings_path, with_identity(settings.ok() ? settings.value() : "", identity));
}

Task<Result<void>> introduce_one(Services& services, std::shared_ptr<Box> box, Identity identity) {
    CO_TRY(co_await services.boxes.wake(box));
    CO_TRY_LET(const Files files, files_of(services, *box));
    co_return co_await services.boxes.workers().run([&] { return write_identity(files, identity); });
}

}  // namespace

Result<Git> git_of(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box, const Fields& fields) {
    return git_in(services, exchange, box, TRY(fields.text_or("folder", "")), TRY(decode_git_token(fields)));
}

Result<std::string> decode_git_token(const Fields& fields) {
    std::string token = TRY(fields.text_or("github_token", ""));
    if (!token.empty()) TRY(check_token("github_token", token));
    return token;
}

Result<Identity> decode_identity(const Fields& fields) {
    return Identity{TRY(line_or_nothing(fields, "git_user_name")), TRY(line_or_nothing(fields, "git_user_email"))};
}

Task<Result<void>> introduce(Services& services, std::vector<std::shared_ptr<Box>> boxes, Identity identity) {
    if (identity.name.empty() && identity.email.empty()) co_return Result<void>();
    Result<void> told;
    for (const auto& box : boxes) {
        told = co_await introduce_one(services, box, identity);
        if (!told.ok()) break;
    }
    if (told.ok()) co_return told;
    for (const auto& box : boxes) (void)co_await services.boxes.remove(box);
    co_return std::move(told).error().in("git_user_name, git_user_email");
}

void add_git_routes(Router& router, Services& services) {
    const auto add = [&](const char* method, const char* name, Answer (*handler)(Services&, Exchange&, const Params&)) {
        router.add(method, std::string("/v2/box/{id}/") + name, with(services, handler));
    };
    add("POST", "git/clone", clone);
    add("POST", "git/exec", exec);
    add("GET", "git/status", status);
    add("GET", "git/diff", diff);
    add("POST", "git/commit", commit);
    add("POST", "git/checkout", checkout);
    add("POST", "git/push", push);
    add("PUT", "git-config", configure);
    add("PUT", "config/git", configure);
}

}  // namespace hutch::daemon
