#include "daemon/git/step.h"

#include <sys/stat.h>

#include <sstream>

#include "base/file.h"
#include "daemon/run/collector.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kNoGit = 127;  // a shell's "not found"
constexpr int64_t kUsage = 129;  // git's "what do you mean?"
constexpr const char* kFindGit = "command -v git >/dev/null || exit 127\n";
// In the box's own configuration, so that commands that no step ran find them too.
constexpr const char* kSettleIdentity =
    "git config user.name >/dev/null || git config --global user.name 'Hutch Box'\n"
    "git config user.email >/dev/null || git config --global user.email box@hutch.local\n";
// git gives its helpers a standard input of its own; descriptor 9 they inherit.
constexpr const char* kKeepInput = "exec 9<&0 </dev/null\n";

// Opened anew by each helper that asks, at its beginning: a clone with submodules asks more than once.
constexpr const char* kHelper = "!f() { test \"$1\" = get && cat /proc/self/fd/9; }; f";

// The token's way into the box: memory without a name, which nobody can write to, gone when the last process of the
// step has ended. Not an argument, not a variable, not a file: those are seen by others, or stay.
Result<UniqueFd> answer_for_helper(const std::string& token) {
    UniqueFd fd = TRY(sealed_memory("git-credential", "username=x-access-token\npassword=" + token + "\n"));
    if (fchmod(fd.get(), 0444) != 0) return errno_error("opening git's credential to the box");
    return fd;
}

// The empty helper first: helpers of the box's own would be asked too, and told the token to store.
std::vector<std::string> options_of(const Credential& credential) {
    if (credential.token.empty()) return {};
    const std::string host = host_of(credential.server);
    const std::string helper = "credential." + credential.server + ".helper=";
    const std::string rewrite = "url." + credential.server + "/.insteadOf=";
    return {"-c", helper,
            "-c", helper + kHelper,
            "-c", rewrite + "git@" + host + ":",
            "-c", rewrite + "ssh://git@" + host + "/"};
}

std::string prompt_of(const GitStep& step) {
    std::string prompt = "git";
    for (const std::string& argument : step.args) prompt += " " + argument;
    return prompt;
}

Result<Command> command_of(const GitStep& step) {
    Command command;
    std::string script = step.script.empty() ? kFindGit : "";
    if (step.commits) script += kSettleIdentity;
    script += kKeepInput + (step.script.empty() ? "exec git \"$@\"\n" : step.script);
    command.argv = {"sh", "-c", std::move(script), "git"};
    for (const auto& words : {options_of(step.credential), step.args}) {
        command.argv.insert(command.argv.end(), words.begin(), words.end());
    }
    command.prompt = prompt_of(step);
    command.work_dir = step.folder;
    command.env = step.env;
    command.env.emplace_back("GIT_TERMINAL_PROMPT", "0");  // there is nobody to ask
    command.user = step.user ? *step.user : TRY(find_user("boxuser"));
    command.without_program = "git: the box has no program \"sh\", by which git is called; use an image that has both";
    command.errors = Errors::kSeparate;
    command.recorded = step.recorded;
    return command;
}

Error no_git(const Box& box) {
    return Error{ErrorKind::kConflict, 0,
                 "the image \"" + box.record.image +
                     "\" has no git program; install it in the box, or use an image "
                     "that has it"};
}

}  // namespace

std::string host_of(const std::string& server) {
    const size_t begin = server.find("://");
    return server.substr(begin == std::string::npos ? 0 : begin + 3);
}

Task<Result<GitAnswer>> run_step(Runs& runs, std::shared_ptr<Box> box, GitStep step) {
    MemoryShare* const step_memory = step.memory;
    UniqueFd input;
    if (!step.credential.token.empty()) {
        CO_TRY_LET(input, answer_for_helper(step.credential.token));
    }
    CO_TRY_LET(Command command, command_of(step));
    CO_TRY_LET(const auto run, co_await runs.start(box, std::move(command), std::move(input)));
    Collector out{step_memory};
    Collector err{nullptr};
    CO_TRY_LET(const Outcome outcome, co_await run->follow(out.sink(), err.sink()));
    if (outcome.exit_code == kNoGit) co_return no_git(*box);
    co_return GitAnswer{outcome.exit_code, std::move(out.kept), std::move(err.kept)};
}

std::string reason_of(const GitAnswer& answer) {
    std::istringstream lines(answer.errors.empty() ? answer.output.substr(0, Collector::kLittle) : answer.errors);
    std::string last;
    std::string cause;  // what comes of it, and hints, may follow
    for (std::string line; std::getline(lines, line);) {
        if (cause.empty() && (line.starts_with("fatal: ") || line.starts_with("error: "))) cause = line;
        if (!line.empty()) last = line;
    }
    if (!cause.empty()) return cause;
    return last.empty() ? "exit code " + std::to_string(answer.exit_code) : last;
}

Result<std::string> output_of(GitAnswer answer) {
    if (answer.exit_code == 0) return std::move(answer.output);
    const auto kind = answer.exit_code == kUsage ? ErrorKind::kInvalid : ErrorKind::kConflict;
    return Error{kind, 0, "git: " + reason_of(answer)};
}

}  // namespace hutch::daemon
