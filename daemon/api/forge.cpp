// What is asked of a server like GitHub about the repository that a box has cloned: pull requests and issues.

#include "daemon/git/forge.h"

#include "base/utf8.h"
#include "daemon/api/resources.h"
#include "daemon/files/files.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostAttached = 10;
constexpr size_t kLongestText = 65'536;  // of a pull request or an issue, at GitHub

/// What a pull request and an issue both are.
struct Post {
    std::string title;
    std::string body;
    std::vector<std::string> attach;  ///< absolute paths in the box
    std::string warning;              ///< of what could not be attached
};

Result<Post> decode_post(const Fields& fields) {
    Post post;
    post.title = TRY(fields.required_text("title"));
    if (post.title.empty()) return invalid("title: must not be empty");
    post.body = TRY(fields.text_or("body", ""));
    const std::string folder = TRY(checked_folder(TRY(fields.text_or("folder", ""))));
    post.attach = TRY(fields.texts("attach"));
    if (post.attach.size() > kMostAttached) return invalid("attach: at most 10 files");
    for (std::string& path : post.attach) {
        if (path.empty()) return invalid("attach: must be paths of files");
        path = path.front() == '/' || path.front() == '~' ? absolute_path(path) : folder + "/" + path;
    }
    return post;
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

bool is_plain_text(std::string_view text) {
    while (!text.empty()) {
        const Utf8 character = first_character(text);
        if (!character.whole || text.front() == '\0') return false;
        text.remove_prefix(character.size);
    }
    return true;
}

// In a fence longer than any within it.
std::string fenced(const std::string& name, const std::string& text) {
    size_t longest = 2;
    size_t row = 0;
    for (const char c : text) {
        row = c == '`' ? row + 1 : 0;
        longest = std::max(longest, row);
    }
    const std::string fence(longest + 1, '`');
    const std::string end = text.ends_with('\n') ? "" : "\n";
    return "\n\n**" + name + "**\n" + fence + "\n" + text + end + fence + "\n";
}

Result<void> attach_one(const Files& files, const std::string& path, std::string& body) {
    const std::string text = TRY(files.read(path, kLongestText));
    if (!is_plain_text(text)) return invalid("attach: \"" + path + "\" is no text, and only text can be attached");
    const std::string more = fenced(path.substr(path.rfind('/') + 1), text);
    if (body.size() + more.size() > kLongestText) {
        return invalid("attach: \"" + path + "\" does not fit: all of it is at most 65536 bytes");
    }
    body += more;
    return {};
}

// The forge's API takes no files: their text becomes part of the body.
void attach_files(const Files& files, Post& post) {
    for (const std::string& path : post.attach) {
        const auto done = attach_one(files, path, post.body);
        if (!done.ok()) post.warning += (post.warning.empty() ? "" : "; ") + done.error().message;
    }
}

/// Where a box's repository is, and who asks.
struct Forge {
    ForgeCall call;  ///< of the repository itself
    Origin origin;
};

Task<Result<Forge>> forge_of(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box,
                             const Fields& fields, Post& post) {
    CO_TRY_LET(std::string token, decode_git_token(fields));
    if (token.empty()) token = box->record.git_token;
    if (token.empty()) co_return invalid("github_token: this needs one; say it here, or when the box is made");
    CO_TRY_LET(Git git, git_of(services, exchange, box, fields));
    Forge forge;
    CO_TRY_LET(forge.origin, co_await git.origin());
    const RepoName& repo = forge.origin.repo;
    if (repo.host != host_of(services.config.github_url)) {
        co_return Error{ErrorKind::kConflict, 0,
                        "origin: is on " + repo.host + "; this call is for " + services.config.github_url};
    }
    forge.call.token = token;
    forge.call.url = services.config.github_api_url + "/repos/" + repo.owner + "/" + repo.name;
    if (!post.attach.empty()) {
        CO_TRY(exchange.memory().grow(2 * kLongestText));
        CO_TRY_LET(const Files files, files_of(services, *box, "attach"));
        const auto attach = [&]() -> Result<void> {
            attach_files(files, post);
            return {};
        };
        CO_TRY(co_await services.boxes.workers().run_for(box->record.customer, attach));
    }
    co_return forge;
}

Json post_json(const Json& made, const Post& post) {
    Json json{{"url", text_at(made, "html_url")}, {"title", post.title}};
    json["number"] = made.value("number", Json(0));
    if (!post.warning.empty()) json["warning"] = post.warning;
    return json;
}

Answer open_pull_request(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(Post post, decode_post(fields));
    CO_TRY_LET(std::string base, fields.text_or("base", ""));
    if (!base.empty()) CO_TRY(check_branch("base", base));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Forge forge, co_await forge_of(services, exchange, box, fields, post));
    if (base.empty()) {  // the repository's default branch
        CO_TRY_LET(const Json repository, co_await ask_forge(services, forge.call, 200));
        base = text_at(repository, "default_branch");
    }
    forge.call.url += "/pulls";
    forge.call.body = dump({{"title", post.title}, {"body", post.body}, {"head", forge.origin.branch}, {"base", base}});
    CO_TRY_LET(const Json made, co_await ask_forge(services, forge.call, 201));
    Json json = post_json(made, post);
    json["base"] = base;
    co_return std::optional(answer(json));
}

Answer open_issue(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(Post post, decode_post(fields));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(Forge forge, co_await forge_of(services, exchange, box, fields, post));
    forge.call.url += "/issues";
    forge.call.body = dump({{"title", post.title}, {"body", post.body}});
    CO_TRY_LET(const Json made, co_await ask_forge(services, forge.call, 201));
    co_return std::optional(answer(post_json(made, post)));
}

}  // namespace

void add_forge_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/git/create-pr", with(services, open_pull_request));
    router.add("POST", "/v2/box/{id}/git/create-issue", with(services, open_issue));
}

}  // namespace hutch::daemon
