#include "daemon/agent/attempts.h"

#include "base/file.h"

namespace hutch::daemon {
namespace {

// Both open the FIFO for reading and writing, and so do not wait for each other (fifo(7)): one may have been killed.
// What is next comes in a file of its own, whole; the line only wakes.
constexpr const char* kRun = R"sh(
hutch_dir=$1
shift
rm -rf /tmp/.hutch-attempts-*  # of one that was killed; there is one prompt at a time
mkdir -m 700 "$hutch_dir" && mkfifo "$hutch_dir/wake" && exec 4<>"$hutch_dir/wake" || exit 1
trap 'rm -rf "$hutch_dir"' EXIT
hutch_attempt=1
hutch_told=0
"$@" 4>&-
hutch_code=$?
while :; do
    printf '\n\036hutch-attempt %d %d\n' "$hutch_attempt" "$hutch_code"
    until [ "$hutch_told" = "$hutch_attempt" ]; do read -r hutch_told <&4; done
    . "$hutch_dir/next.$hutch_attempt"
    hutch_attempt=$((hutch_attempt + 1))
done
)sh";

constexpr const char* kTell = R"sh(
cd "$1" 2>/dev/null || exit 0
cat > "next.$2.$$" && mv "next.$2.$$" "next.$2"
if [ -p wake ]; then echo "$2" 1<>wake; fi
)sh";

std::string directory_of(const std::string& run) {
    return "/tmp/.hutch-attempts-" + run;
}

std::string quoted(const std::string& word) {
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
    return text + "'";
}

}  // namespace

Command in_attempts(Command command) {
    std::vector<std::string> argv{"sh", "-c", kRun, "sh", directory_of(command.run_id)};
    argv.insert(argv.end(), command.argv.begin(), command.argv.end());
    command.argv = std::move(argv);
    command.without_program.clear();
    return command;
}

std::string next_attempt(const Invocation& how) {
    std::string text = "printf %s " + quoted(how.input) + " |";
    for (const std::string& word : how.argv) text += " " + quoted(word);
    return text + " 4>&-\nhutch_code=$?\n";
}

Task<Result<void>> tell_next(Runs& runs, std::shared_ptr<Box> box, std::string run, int64_t attempt, std::string next) {
    Command command;
    command.argv = {"sh", "-c", kTell, "sh", directory_of(run), std::to_string(attempt)};
    command.work_dir = "/";
    CO_TRY_LET(command.user, find_user("boxuser"));
    command.recorded = false;
    CO_TRY_LET(UniqueFd input, sealed_memory("attempt", next));
    CO_TRY_LET(const auto telling, co_await runs.start(box, std::move(command), std::move(input)));
    CO_TRY_LET(const Outcome outcome, co_await telling->outcome());
    if (outcome.exit_code == 0) co_return Result<void>();
    co_return Error{ErrorKind::kConflict, 0,
                    "telling the agent what is next: exit code " + std::to_string(outcome.exit_code)};
}

}  // namespace hutch::daemon
