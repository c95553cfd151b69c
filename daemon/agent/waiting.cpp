// Prompts that wait: the agent of a box does one thing at a time, in the order in which it was asked.
//
//   on record                     the daemon ends here, then the next one
//   run waits, with its words     begins it, when those before it have ended
//   run runs, init has not heard  tells it as failed: it may not begin twice
//   run runs                      takes it over, as any other
//
// A webhook is told of each of them, also when the box is deleted meanwhile.

#include <algorithm>

#include "base/undo.h"
#include "daemon/agent/agents.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostWaiting = 16;     // of one box
constexpr size_t kMostWords = 2 << 20;  // bytes of what one is asked with; files are in the box by then

}  // namespace

std::shared_ptr<PromptRun> Agents::find(const std::string& run) const {
    const auto found = under_way_.find(run);
    if (found != under_way_.end()) return found->second;
    for (const auto& [box, line] : waiting_) {
        for (const auto& prompt : line) {
            if (prompt->record.run == run) return prompt;
        }
    }
    return nullptr;
}

std::optional<std::string> Agents::waits_for(const std::string& run) const {
    for (const auto& [box, line] : waiting_) {
        const auto worker = at_work(box);
        std::string before = worker ? worker->record.run : "";
        for (const auto& prompt : line) {
            if (prompt->record.run == run) return before;
            before = prompt->record.run;
        }
    }
    return std::nullopt;
}

Result<void> Agents::wait_in_line(const Box& box, const std::shared_ptr<PromptRun>& prompt, const Asked& asked) {
    const std::string& id = box.record.id;
    const auto line = waiting_.find(id);
    if (line != waiting_.end() && line->second.size() >= kMostWaiting) {
        return Error{ErrorKind::kLimit, 0,
                     "prompts: " + std::to_string(kMostWaiting) + " wait in box " + id +
                         ", which is the most of one box; wait for one to begin, or cancel one"};
    }
    if (asked.words.size() > kMostWords) {
        return Error{ErrorKind::kTooLarge, 0,
                     "prompt: with its schema, options and variables longer than 2 MiB, the most that can wait; the "
                     "agent of box " +
                         id + " is at work: ask again when it has ended"};
    }
    prompt->place = TRY(boxes_.limits().take(box.record.customer, Resource::kCommands));
    Command command = asked.surroundings;
    command.run_id = prompt->record.run;
    command.prompt = asked.prompt.text;
    command.errors = Errors::kSeparate;
    TRY(boxes_.records().together([&]() -> Result<void> {
        TRY(runs_.line_up(box, command));
        TRY(boxes_.records().put_prompt(prompt->record));
        return boxes_.records().add_waiting(prompt->record.run, asked.words);
    }));
    waiting_[id].push_back(prompt);
    return {};
}

// One that an earlier daemon left waiting.
void Agents::wait_on(PromptRecord record) {
    const auto prompt = std::make_shared<PromptRun>(boxes_.executor(), std::move(record));
    const auto box = boxes_.find_of_any(prompt->record.box);
    if (box.ok()) prompt->place = boxes_.limits().note(box.value()->record.customer, Resource::kCommands);
    waiting_[prompt->record.box].push_back(prompt);
}

void Agents::begin_next(const std::string& box) {
    const auto line = waiting_.find(box);
    if (line == waiting_.end() || held_.contains(box) || at_work(box)) return;
    const auto prompt = line->second.front();
    line->second.pop_front();
    if (line->second.empty()) waiting_.erase(line);
    under_way_[prompt->record.run] = prompt;
    spawn(boxes_.executor(), "beginning run " + prompt->record.run, take_turn(prompt),
          [this, prompt](const Result<void>& how) {
              if (!how.ok() && !prompt->ended.is_set()) set_aside(*prompt, how.error().message);
          });
}

Task<> Agents::take_turn(std::shared_ptr<PromptRun> prompt) {
    const auto pass = boxes_.enter();
    if (!pass.ok()) co_return;  // the next daemon begins it
    const auto begun = co_await caught(begin(prompt));
    if (begun.ok()) {
        account_for(prompt, account(prompt));
        co_return;
    }
    const bool gone = !boxes_.find_of_any(prompt->record.box).ok();
    const Undo over([&] { leave(*prompt); });
    const std::string why = gone ? "cancelled: its box was deleted" : begun.error().message;
    const auto ended = end_waiting(*prompt, gone ? RunStatus::kCancelled : RunStatus::kFailed, why);
    if (!ended.ok()) log_error("run {}: its end cannot be recorded: {}", prompt->record.run, ended.error().message);
}

Task<Result<void>> Agents::begin(std::shared_ptr<PromptRun> prompt) {
    const std::string& id = prompt->record.run;
    CO_TRY_LET(const auto box, boxes_.find_of_any(prompt->record.box));
    const Box::Use use(box);
    CO_TRY(co_await boxes_.wake(box));
    CO_TRY_LET(std::string words, boxes_.records().waiting(id));
    CO_TRY_LET(Asked asked, read_(*box, std::move(words)));
    CO_TRY_LET(asked.surroundings.waited, boxes_.records().run(box->record.id, id));
    co_return co_await launch(prompt, box, std::move(asked));
}

// It has taken nothing that could be charged. The run first: a daemon that ends in between leaves a prompt of a run
// that has ended, which the next one tells of.
Result<void> Agents::end_waiting(PromptRun& prompt, RunStatus status, const std::string& why) {
    PromptRecord& record = prompt.record;
    const auto box = boxes_.find_of_any(record.box);
    if (auto run = TRY(boxes_.records().run(record.box, record.run))) {
        TRY(runs_.end_waiting(box.ok() ? box.value().get() : nullptr, *std::move(run), status, why));
    }
    record.ended = true;
    record.error = why;
    const auto kept = keep(record);
    if (!kept.ok()) log_error("run {}: its end cannot be recorded: {}", record.run, kept.error().message);
    if (box.ok() && status == RunStatus::kFailed) {
        boxes_.note(*box.value(), "error", "run " + record.run + ": " + why, "agent");
    }
    if (!record.webhook_url.empty()) spawn(boxes_.executor(), "the webhook of run " + record.run, tell(record));
    return {};
}

Result<bool> Agents::cancel(const std::string& run) {
    const auto prompt = find(run);
    if (!prompt) return false;
    const auto line = waiting_.find(prompt->record.box);
    if (line == waiting_.end()) return false;
    const auto place = std::find(line->second.begin(), line->second.end(), prompt);
    if (place == line->second.end()) return false;
    TRY(end_waiting(*prompt, RunStatus::kCancelled, "cancelled before its turn came"));
    line->second.erase(place);
    if (line->second.empty()) waiting_.erase(line);
    leave(*prompt);
    return true;
}

void Agents::cancel_line(const std::string& box, const std::string& why) {
    const auto line = waiting_.extract(box);
    if (line.empty()) return;
    for (const auto& prompt : line.mapped()) {
        const auto ended = end_waiting(*prompt, RunStatus::kCancelled, why);
        if (!ended.ok()) log_error("run {}: its end cannot be recorded: {}", prompt->record.run, ended.error().message);
        leave(*prompt);
    }
}

}  // namespace hutch::daemon
