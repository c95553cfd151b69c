#include "daemon/run/startup.h"

#include "base/undo.h"

namespace hutch::daemon {

void BoundedLines::feed(std::string_view piece) {
    for (const char c : piece) {
        if (c == '\n') {
            end_line();
        } else if (line_.size() < kMaxLine) {
            line_ += c;
        }
    }
}

void BoundedLines::finish() {
    if (!line_.empty()) end_line();
    if (lines_ > kMaxLines) keep_("(" + std::to_string(lines_ - kMaxLines) + " more lines were dropped)");
}

void BoundedLines::end_line() {
    if (++lines_ <= kMaxLines) keep_(line_);
    line_.clear();
}

namespace {

Sink sink_of(BoundedLines& lines) {
    return [&lines](std::string_view piece) -> Task<Result<void>> {
        lines.feed(piece);
        co_return Result<void>();
    };
}

}  // namespace

Task<> run_init_command(Manager& manager, Runs& runs, std::shared_ptr<Box> box, Command command) {
    const auto to_log = [&](const char* level) {
        return BoundedLines(
            [&, level](const std::string& line) { manager.note(*box, level, "init_command: " + line); });
    };
    BoundedLines output = to_log("info");
    BoundedLines errors = to_log("warn");
    command.errors = Errors::kSeparate;
    auto run = co_await runs.start(box, std::move(command), UniqueFd());
    if (!run.ok()) {
        manager.note(*box, "error", "init_command: " + run.error().message);
        co_return;
    }
    box->starting_up = true;
    const Undo started_up([&box] { box->starting_up = false; });
    const auto outcome = co_await run.value()->follow(sink_of(output), sink_of(errors));
    output.finish();
    errors.finish();
    if (!outcome.ok()) {
        manager.note(*box, "warn", "init_command: " + outcome.error().message);
    } else if (outcome.value().exit_code != 0) {
        manager.note(*box, "error", "init_command ended with exit status " + std::to_string(outcome.value().exit_code));
    }
}

}  // namespace hutch::daemon
