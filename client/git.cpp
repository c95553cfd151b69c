#include <cstdlib>

#include "client/format.h"
#include "client/program.h"

namespace hutch::client {
namespace {

struct GitOptions {
    std::string box, folder;
    std::string repo, branch, message, author, title, body, base, name, email;
    std::vector<std::string> args;
    bool json = false;
};

std::string git_target(const GitOptions& options, const std::string& call) {
    return box_target(options.box, "/git/" + call);
}

// Absent where nothing was said.
Json body_of(const GitOptions& options, std::initializer_list<std::pair<const char*, const std::string*>> fields) {
    Json body = Json::object();
    for (const auto& [field, value] : fields) {
        if (!value->empty()) body[field] = *value;
    }
    if (!options.folder.empty()) body["folder"] = options.folder;
    return body;
}

// Of hutch's own environment, so that it stands in no list of processes.
std::string token() {
    const char* value = getenv("GITHUB_TOKEN");
    return value == nullptr ? "" : value;
}

Result<Json> post(const Program& program, const GitOptions& options, const std::string& call, const Json& body) {
    return TRY(program.api()).call("POST", git_target(options, call), body);
}

Result<int> clone(const Program& program, const GitOptions& options) {
    const std::string secret = token();
    TRY(post(program, options, "clone",
             body_of(options, {{"repo", &options.repo}, {"branch", &options.branch}, {"github_token", &secret}})));
    return 0;
}

Result<int> look(const Program& program, const GitOptions& options, const char* call) {
    const std::string query = options.folder.empty() ? "" : "?folder=" + percent_encode(options.folder);
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(git_target(options, call + query)));
    return show(printable(text_of(answer, call), Lines::kKeep));
}

Result<int> status(const Program& program, const GitOptions& options) {
    return look(program, options, "status");
}

Result<int> diff(const Program& program, const GitOptions& options) {
    return look(program, options, "diff");
}

// "Jane Doe <jane@example.com>", as git's own --author.
Result<std::pair<std::string, std::string>> parse_author(const std::string& author) {
    if (author.empty()) return std::pair<std::string, std::string>();
    const size_t open = author.find(" <");
    if (open == std::string::npos || author.back() != '>') return invalid("--author: must be \"NAME <EMAIL>\"");
    return std::pair(author.substr(0, open), author.substr(open + 2, author.size() - open - 3));
}

Result<int> commit(const Program& program, const GitOptions& options) {
    const auto [name, email] = TRY(parse_author(options.author));
    const Json answer =
        TRY(post(program, options, "commit",
                 body_of(options, {{"message", &options.message}, {"author_name", &name}, {"author_email", &email}})));
    return options.json ? show_json(answer) : show(printable(text_of(answer, "sha")) + "\n");
}

Result<int> checkout(const Program& program, const GitOptions& options) {
    TRY(post(program, options, "checkout", body_of(options, {{"branch", &options.branch}})));
    return 0;
}

Result<int> push(const Program& program, const GitOptions& options) {
    const std::string secret = token();
    TRY(post(program, options, "push", body_of(options, {{"branch", &options.branch}, {"github_token", &secret}})));
    return 0;
}

Result<int> pull_request(const Program& program, const GitOptions& options) {
    const std::string secret = token();
    const Json answer = TRY(post(
        program, options, "create-pr",
        body_of(
            options,
            {{"title", &options.title}, {"body", &options.body}, {"base", &options.base}, {"github_token", &secret}})));
    return options.json ? show_json(answer) : show(printable(text_of(answer, "url")) + "\n");
}

Result<int> exec(const Program& program, const GitOptions& options) {
    Json body = body_of(options, {});
    body["args"] = options.args;
    const Json answer = TRY(post(program, options, "exec", body));
    TRY(show(printable(text_of(answer, "output"), Lines::kKeep)));
    return static_cast<int>(answer.value("exit_code", 0));
}

Result<int> config(const Program& program, const GitOptions& options) {
    const Json body = body_of(options, {{"git_user_name", &options.name}, {"git_user_email", &options.email}});
    const Api api = TRY(program.api());
    const Json answer = TRY(api.call("PUT", box_target(options.box, "/git-config"), body));
    if (options.json) return show_json(answer);
    return show(printable(text_of(answer, "git_user_name") + " <" + text_of(answer, "git_user_email") + ">") + "\n");
}

using Act = Result<int> (*)(const Program&, const GitOptions&);

struct Commands {
    CLI::App& git;
    Program& program;
    std::shared_ptr<GitOptions> options = std::make_shared<GitOptions>();

    CLI::App* add(const char* name, const char* description, const char* example, Act act) const {
        CLI::App* command = add_command(git, name, description, example);
        add_box(*command, options->box);
        command->add_option("-w,--workdir,--folder", options->folder, "Where in the box; /workspace/home, if not said")
            ->type_name("DIR");
        run_on(command, program, options, act);
        return command;
    }
};

void add_local(const Commands& commands) {
    GitOptions& options = *commands.options;
    commands.add("status", "List the files that have changed, as `git status --porcelain`",
                 "hutch git status dev --workdir project", status);
    commands.add("diff", "Show all changes since the last commit, staged or not",
                 "hutch git diff dev --workdir project", diff);
    CLI::App* command = commands.add("commit", "Commit all changes, new files too, and print the commit's hash",
                                     "hutch git commit dev --workdir project -m \"mend the parser\"", commit);
    command->add_option("-m,--message", options.message, "What it says")->required();
    command->add_option("--author", options.author, "\"NAME <EMAIL>\", of this commit alone");
    add_json_flag(*command, options.json);
    command = commands.add("checkout", "Go to a branch, its own or the origin's",
                           "hutch git checkout dev --workdir project mend-parser", checkout);
    command->add_option("BRANCH", options.branch, "Its name")->required();
    command = commands.add("config", "Say who commits in a box, or show it",
                           "hutch git config dev --name \"Jane Doe\" --email jane@example.com", config);
    command->add_option("--name", options.name, "Of who commits");
    command->add_option("--email", options.email, "Of who commits");
    add_json_flag(*command, options.json);
    command = commands.add("exec", "Run any git command, print its output, and end as it does",
                           "hutch git exec dev --workdir project -- log --oneline -5", exec);
    command->add_option("ARGS", options.args, "What follows git, after `--`")->required();
}

void add_remote(const Commands& commands) {
    GitOptions& options = *commands.options;
    CLI::App* command = commands.add("clone",
                                     "Clone a repository into a directory of its name, or into --workdir\n\n"
                                     "GITHUB_TOKEN of hutch's own environment, if set, opens private ones.",
                                     "hutch git clone dev https://github.com/you/project", clone);
    command->add_option("REPO", options.repo, "Its address")->required();
    command->add_option("--branch", options.branch, "To check out, instead of the usual one");
    command = commands.add("push",
                           "Send a branch to where it was cloned from\n\nWith GITHUB_TOKEN of hutch's own "
                           "environment, or else the token of the box.",
                           "hutch git push dev --workdir project", push);
    command->add_option("BRANCH", options.branch, "The one that is checked out, if none is named");
    command = commands.add("pr",
                           "Open a pull request of the branch that is checked out\n\nIts address is printed. With "
                           "GITHUB_TOKEN of hutch's own environment, or else the token of the box.",
                           "hutch git pr dev --workdir project --title \"Mend the parser\"", pull_request);
    command->add_option("--title", options.title, "Its title")->required();
    command->add_option("--body", options.body, "More of it");
    command->add_option("--base", options.base, "Where it is to go, instead of the usual branch");
    add_json_flag(*command, options.json);
}

}  // namespace

void add_git_commands(CLI::App& app, Program& program) {
    CLI::App* git = add_command(app, "git", "Git in a box", "hutch git clone dev https://github.com/you/project");
    git->require_subcommand(1);
    const Commands commands{*git, program};
    add_remote(commands);
    add_local(commands);
}

}  // namespace hutch::client
