// Git in a box: clone, look, commit, push.

#include <algorithm>

#include "base/text.h"
#include "daemon/api/resources.h"
#include "daemon/files/files.h"
#include "daemon/git/forge.h"

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
    return Git(services.runs, exchange.memory(), box, TRY(checked_folder(folder)), TRY(environment_of(services, *box)),
               Credential{services.config.github_url, token.empty() ? box->record.git_token : token});
}

Result<Git> git_of(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box, const Fields& fields) {
    return git_in(services, exchange, box, TRY(fields.text_or("folder", "")), TRY(decode_git_token(fields)));
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

Answer clone(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string given, fields.required_text("repo"));
    CO_TRY_LET(const std::string repo, checked_repo("repo", given));
    CO_TRY_LET(const auto branch, decode_branch(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
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
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY_LET(std::string output, co_await git.exec(args));
    co_return std::optional(answer(Json{{"output", std::move(output)}}));
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

struct PullRequest {
    std::string title;
    std::string body;
    std::string base;  ///< empty: the repository's default branch
};

Result<PullRequest> decode_pull_request(const Fields& fields) {
    PullRequest request;
    request.title = TRY(fields.required_text("title"));
    if (request.title.empty()) return invalid("title: must not be empty");
    request.body = TRY(fields.text_or("body", ""));
    request.base = TRY(fields.text_or("base", ""));
    if (!request.base.empty()) TRY(check_branch("base", request.base));
    return request;
}

// "Validation Failed: A pull request already exists for you:branch."
std::string complaint_of(const Json& said) {
    std::string text = text_at(said, "message");
    for (const Json& error : array_at(said, "errors")) {
        const std::string more = text_at(error, "message");
        if (!more.empty()) text += ": " + more;
    }
    return text;
}

// An answer of the forge with the status it should have.
Task<Result<Json>> ask_forge(Services& services, ForgeCall call, int64_t expected) {
    CO_TRY_LET(const ForgeAnswer said, co_await call_forge(services.fetcher, call));
    const auto json = parse_json(said.body);
    if (said.status == expected && json.ok() && json.value().is_object()) co_return json;
    const std::string status = said.status == expected ? "what is no JSON object" : std::to_string(said.status);
    const std::string complaint = json.ok() ? complaint_of(json.value()) : json.error().message;
    co_return Error{ErrorKind::kConflict, 0, call.url + " answered " + status + ": " + complaint};
}

Answer open_pull_request(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(PullRequest request, decode_pull_request(fields));
    CO_TRY_LET(std::string token, decode_git_token(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    if (token.empty()) token = box->record.git_token;
    if (token.empty())
        co_return invalid("github_token: a pull request needs one; say it here, or when the box is made");
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    CO_TRY_LET(const Origin origin, co_await git.origin());
    if (origin.repo.host != host_of(services.config.github_url)) {
        co_return Error{ErrorKind::kConflict, 0,
                        "origin: is on " + origin.repo.host + "; pull requests are for " + services.config.github_url};
    }
    ForgeCall call;
    call.token = token;
    call.url = services.config.github_api_url + "/repos/" + origin.repo.owner + "/" + origin.repo.name;
    if (request.base.empty()) {
        CO_TRY_LET(const Json repository, co_await ask_forge(services, call, 200));
        request.base = text_at(repository, "default_branch");
    }
    call.url += "/pulls";
    call.body =
        dump({{"title", request.title}, {"body", request.body}, {"head", origin.branch}, {"base", request.base}});
    CO_TRY_LET(const Json made, co_await ask_forge(services, call, 201));
    Json json{{"url", text_at(made, "html_url")}, {"title", request.title}, {"base", request.base}};
    json["number"] = made.value("number", Json(0));
    co_return std::optional(answer(json));
}

// In quotes, as git-config(1) reads them.
std::string quoted(const std::string& value) {
    std::string text = "\"";
    for (const char c : value) text += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
    return text + "\"";
}

// At the end of boxuser's settings, where the last word is: the image may have no git yet, so git is not asked to.
Result<void> append_identity(const Files& files, const Identity& identity) {
    constexpr const char* kSettings = "/home/boxuser/.gitconfig";
    auto settings = files.read(kSettings, kMaxJsonBody);
    if (!settings.ok() && settings.error().kind != ErrorKind::kNotFound) return std::move(settings).error();
    std::string text = settings.ok() ? settings.value() + "\n[user]\n" : "[user]\n";
    if (!identity.name.empty()) text += "\tname = " + quoted(identity.name) + "\n";
    if (!identity.email.empty()) text += "\temail = " + quoted(identity.email) + "\n";
    return files.write(kSettings, text);
}

Task<Result<void>> introduce_one(Services& services, std::shared_ptr<Box> box, Identity identity) {
    CO_TRY(co_await services.boxes.wake(box));
    CO_TRY_LET(const Files files, Files::of(*box));
    co_return co_await services.boxes.workers().run([&] { return append_identity(files, identity); });
}

}  // namespace

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
    add("POST", "git/create-pr", open_pull_request);
    add("PUT", "git-config", configure);
}

}  // namespace hutch::daemon
