#include "daemon/agent/agents.h"

#include <algorithm>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "daemon/agent/attempts.h"
#include "daemon/agent/charge.h"
#include "daemon/agent/readiness.h"
#include "daemon/files/files.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "daemon/wire/json_schema.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostOutput = 4 << 20;   // bytes of an answer that its record keeps
constexpr size_t kMostReason = 8 * 1024;  // bytes of why it failed
constexpr int64_t kMostReadings = 3;      // by daemons that did not come to the end of it

// What a program has complained of, without the blanks around it; of much, the end.
std::string trimmed(const std::string& text) {
    constexpr const char* kBlanks = " \r\n\t";
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string::npos) return "";
    const size_t end = text.find_last_not_of(kBlanks) + 1;
    if (end - begin <= kMostReason) return text.substr(begin, end - begin);
    return "[...] " + text.substr(end - kMostReason, kMostReason);
}

std::string reason_of(const AgentResult& result, const RunRecord& run, const std::string& complaint) {
    if (run.status == RunStatus::kCancelled) return "cancelled";
    if (!run.error.empty()) return run.error;
    if (result.error) {
        return result.error->empty() ? "the agent failed and did not say why" : result.error->substr(0, kMostReason);
    }
    if (result.finished && run.exit_code == 0) return "";
    const std::string how = "the agent's program ended with exit status " + std::to_string(run.exit_code.value_or(-1));
    std::string why = trimmed(complaint);
    if (why.empty()) why = trimmed(result.plain);
    if (!why.empty()) why.insert(0, ": ");
    return how + (result.finished ? "" : " before its answer was complete") + why;
}

Task<std::string> complaints_of(Stream* errors) {
    std::string complaints;
    if (errors == nullptr) co_return complaints;
    const auto keep = [&complaints](std::string_view piece) -> Task<Result<void>> {
        complaints += piece;
        if (complaints.size() > 4 * kMostReason) complaints.erase(0, complaints.size() - 2 * kMostReason);
        co_return Result<void>();
    };
    (void)co_await errors->copy(errors->journal().begin(), keep);
    co_return complaints;
}

PromptRecord new_record(const Box& box, const std::string& run, const AgentRecord& agent,
                        const std::optional<Webhook>& webhook) {
    PromptRecord record;
    record.run = run.empty() ? random_id() : run;
    record.box = box.record.id;
    record.harness = agent.harness;
    record.model = agent.model;
    if (webhook) record.webhook_url = webhook->url;
    if (webhook) record.webhook_headers = webhook->headers;
    return record;
}

}  // namespace

Agents::Agents(Manager& boxes, Runs& runs, Webhooks& webhooks, Access access, Close close)
    : boxes_(boxes), runs_(runs), webhooks_(webhooks), access_(std::move(access)), close_(std::move(close)) {}

Result<void> Agents::configure(const AgentRecord& agent) {
    if (agent.harness.empty() && agent.mcp_servers.empty() && agent.skills.empty()) return {};
    return boxes_.records().put_agent(agent);
}

Result<AgentRecord> Agents::heritage(const std::string& from) {
    AgentRecord agent = TRY(of(from));
    agent.prompts = agent.input_tokens = agent.output_tokens = agent.cost_nano_usd = 0;
    return agent;
}

Result<void> Agents::inherit(const std::string& from, const std::string& to) {
    AgentRecord agent = TRY(heritage(from));
    agent.owner = to;
    return configure(agent);
}

std::shared_ptr<PromptRun> Agents::at_work(const std::string& box) const {
    for (const auto& [run, prompt] : under_way_) {
        if (prompt->record.box == box) return prompt;
    }
    return nullptr;
}

Task<Result<void>> Agents::go_back(std::string box, std::string snapshot, Task<Result<void>> roll_back) {
    const auto held = held_.insert(box);
    const Undo release([&] {
        held_.erase(held);
        begin_next(box);
    });
    const auto killed = at_work(box);
    if (killed) co_await killed->begun.wait();  // or it would begin on what the box has gone back to
    CO_TRY(co_await std::move(roll_back));
    cancel_line(box, "cancelled: its box was rolled back");
    if (killed) co_await killed->ended.wait();  // or its end would be written over this
    CO_TRY_LET(AgentRecord agent, of(box));
    if (agent.harness.empty()) co_return Result<void>();
    CO_TRY_LET(AgentRecord then, of(snapshot));
    if (then.harness != agent.harness) then = AgentRecord();
    agent.session = then.session;
    agent.session_total = then.session_total;
    co_return configure(agent);
}

Result<void> Agents::note_unbegun(const Box& box, const std::string& run, const std::string& error,
                                  std::optional<Webhook> webhook) {
    PromptRecord record = new_record(box, run, TRY(of(box.record.id)), webhook);
    if (record.harness.empty()) record.harness = custom_harness().name();  // of no use to who reads what it has said
    record.ended = true;
    record.error = error;
    TRY(boxes_.records().put_prompt(record));
    if (webhook) spawn(boxes_.executor(), "the webhook of run " + run, tell(record));
    return {};
}

Result<std::optional<PromptRecord>> Agents::record(const std::string& run) {
    return boxes_.records().prompt(run);
}

Task<Result<std::shared_ptr<PromptRun>>> Agents::start(std::shared_ptr<Box> box, Asked asked,
                                                       std::optional<Webhook> webhook) {
    CO_TRY_LET(AgentRecord agent, of(box->record.id));
    if (agent.harness.empty()) {
        co_return Error{ErrorKind::kConflict, 0,
                        "box " + (box->record.name.empty() ? box->record.id : box->record.name) +
                            " has no agent; a box is given one when it is made, by its agent or model"};
    }
    CO_TRY_LET(const Harness* const harness, find_harness(agent.harness));
    CO_TRY(harness->check(asked.prompt.options));
    if (!asked.prompt.schema.is_null() && !harness->holds_to_schema()) CO_TRY(check_schema(asked.prompt.schema));
    if (!asked.prompt.model.empty()) use_model(agent, asked.prompt.model);
    auto started =
        std::make_shared<PromptRun>(boxes_.executor(), new_record(*box, asked.surroundings.run_id, agent, webhook));
    if (at_work(box->record.id) || waiting_.contains(box->record.id)) {
        CO_TRY(wait_in_line(*box, started, asked));
        co_return started;
    }
    under_way_[started->record.run] = started;
    Undo forget([&] {
        (void)boxes_.records().drop_prompt(started->record.run);
        leave(*started);
    });
    CO_TRY(co_await launch(started, box, std::move(asked)));
    forget.commit();
    account_for(started, account(started));
    co_return started;
}

// As the box's agent is now: one that has waited was asked for when it may have been another.
Task<Result<void>> Agents::launch(std::shared_ptr<PromptRun> started, std::shared_ptr<Box> box, Asked asked) {
    CO_TRY_LET(AgentRecord agent, of(box->record.id));
    CO_TRY_LET(const Harness* const harness, find_harness(agent.harness));
    PromptRecord& record = started->record;
    Prompt& prompt = asked.prompt;
    Command& surroundings = asked.surroundings;
    CO_TRY(harness->check(prompt.options));
    const bool checked = !prompt.schema.is_null() && !harness->holds_to_schema();
    if (!prompt.model.empty()) use_model(agent, prompt.model);
    prompt.model = record.model = agent.model;
    prompt.session = agent.session;
    record.harness = agent.harness;
    record.schema = checked ? dump(prompt.schema) : "";
    started->harness = harness;
    surroundings.run_id = record.run;
    surroundings.prompt = prompt.text;
    surroundings.errors = Errors::kSeparate;
    surroundings.detached = true;  // nobody is to lose what it costs
    CO_TRY(boxes_.records().put_prompt(record));
    CO_TRY_LET(std::optional<ModelAccess> access, access_(*box, agent, *harness, record.run));
    if (!access) CO_TRY(co_await check_own_way(boxes_.workers(), box, agent, *harness, surroundings));
    const Invocation how = harness->invoke(agent, prompt, access ? &*access : nullptr);
    CO_TRY_LET(Command command, co_await prepare(box, *harness, how, std::move(surroundings)));
    if (checked) command = in_attempts(std::move(command));
    UniqueFd input;
    if (!how.input.empty()) {
        CO_TRY_LET(input, sealed_memory("prompt", how.input));
    }
    started->place = {};  // the run takes it, at once
    CO_TRY_LET(started->run, co_await runs_.start(box, std::move(command), std::move(input)));
    started->begun.set();
    co_return Result<void>();
}

Task<Result<Command>> Agents::prepare(std::shared_ptr<Box> box, const Harness& harness, const Invocation& how,
                                      Command command) {
    command.argv = how.argv;
    command.env.insert(command.env.end(), how.env.begin(), how.env.end());
    if (const std::string program = harness.program(); !program.empty()) {
        command.without_program = "agent: its program " + program + " is not in image " + box->record.image +
                                  "; make the box of image agents (hutch image build agents makes it), or install it";
    }
    if (how.files.empty()) co_return command;
    CO_TRY_LET(const Files files, Files::of(*box));
    CO_TRY(co_await boxes_.workers().run([&]() -> Result<void> {
        for (const auto& [path, content] : how.files) TRY(files.write(path, content));
        return {};
    }));
    co_return command;
}

// A prompt that nobody accounts for must not stay under way: its box's agent would be at work for ever.
void Agents::account_for(const std::shared_ptr<PromptRun>& prompt, Task<> accounting) {
    spawn(boxes_.executor(), "taking account of run " + prompt->record.run, std::move(accounting),
          [this, prompt](const Result<void>& how) {
              if (how.ok() || prompt->ended.is_set()) return;
              set_aside(*prompt, "hutchd could not take account of it: " + how.error().message);
          });
}

// Nobody is to wait for what it will not come to, nor is it to work on for nobody.
void Agents::set_aside(PromptRun& prompt, const std::string& why) {
    log_error("run {}: is set aside as failed: {}", prompt.record.run, why);
    if (prompt.run) prompt.run->abandon();
    conclude(prompt, AgentResult(), why);
}

// Whoever listens or not: reads along to the end, and writes down what it came to.
Task<> Agents::account(std::shared_ptr<PromptRun> prompt) {
    const AgentResult result = co_await read_all(prompt, prompt->run->output());
    const std::string complaints = co_await complaints_of(prompt->run->errors());
    conclude(*prompt, result, reason_of(result, prompt->run->record(), complaints));
}

Task<AgentResult> Agents::read_all(std::shared_ptr<PromptRun> prompt, Stream& said) {
    const auto transcript = prompt->harness->transcript();
    const Transcript::Take nothing = [](const AgentEvent&) {};
    uint64_t at = said.journal().begin();
    const uint64_t old = said.journal().end();
    const auto note_read_at = [&](uint64_t place) {  // of an ended run, the last line is read below
        if (prompt->run && place >= old) note_read(prompt->record);
    };
    note_read_at(at);
    const auto read = [&](std::string_view piece) -> Task<Result<void>> {
        const size_t bytes = transcript->pending() + piece.size();
        co_await read_aside(boxes_.workers(), bytes, [&] { transcript->feed(piece, nothing); });
        at += piece.size();
        note_read_at(at);
        if (prompt->run && transcript->ended() && !prompt->record.schema.empty()) co_await judge(prompt, *transcript);
        co_return Result<void>();
    };
    (void)co_await said.follow(at, read);
    if (prompt->run) (void)co_await prompt->run->outcome();
    co_await read_aside(boxes_.workers(), transcript->pending(), [&] { transcript->end(nothing); });
    co_return co_await judged(prompt->record, *transcript);
}

// All that an earlier daemon had of it has been read, and this one is still there.
void Agents::note_read(PromptRecord& record) {
    if (record.readings == 0) return;
    record.readings = 0;
    const auto noted = boxes_.records().put_prompt(record);
    if (!noted.ok()) log_warning("run {}: {}", record.run, noted.error().message);
}

// Of a box that is gone, only what somebody has yet to be told of.
Result<void> Agents::keep(const PromptRecord& record) {
    if (record.webhook_url.empty() && !TRY(boxes_.records().run(record.box, record.run))) return {};
    return boxes_.records().put_prompt(record);
}

void Agents::leave(PromptRun& prompt) {
    close_(prompt.record.run);
    const auto kept = under_way_.find(prompt.record.run);
    const auto self = kept == under_way_.end() ? nullptr : kept->second;  // until all who wait have been told
    if (self) under_way_.erase(kept);
    prompt.place = {};
    prompt.begun.set();
    prompt.ended.set();
    begin_next(prompt.record.box);
}

void Agents::conclude(PromptRun& prompt, const AgentResult& result, const std::string& error) {
    PromptRecord& record = prompt.record;
    const Undo over([&] { leave(prompt); });  // whatever is thrown below
    record.ended = true;
    record.output = result.output.substr(0, kMostOutput);
    record.error = error;
    record.session = result.session;
    record.readings = 0;
    const auto written = boxes_.records().together([&]() -> Result<void> {
        AgentRecord agent = TRY(of(record.box));
        charge(result, agent, record);
        TRY(keep(record));
        return agent.harness.empty() ? Result<void>() : configure(agent);  // none: the box is being deleted
    });
    if (!written.ok()) log_error("run {}: its end cannot be recorded: {}", record.run, written.error().message);
    const auto box = boxes_.find_of_any(record.box);
    if (box.ok() && !error.empty()) boxes_.note(*box.value(), "error", "run " + record.run + ": " + error, "agent");
    if (!record.webhook_url.empty()) spawn(boxes_.executor(), "the webhook of run " + record.run, tell(record));
}

Result<void> Agents::adopt() {
    std::vector<PromptRecord> open = TRY(boxes_.records().open_prompts());
    const std::vector<std::string> waiting = TRY(boxes_.records().all_waiting());
    const auto waits = [&](const PromptRecord& record) {
        return std::find(waiting.begin(), waiting.end(), record.run) != waiting.end();
    };
    const auto noted = boxes_.records().together([&]() -> Result<void> {
        for (PromptRecord& record : open) {
            if (record.ended || waits(record)) continue;
            ++record.readings;
            TRY(boxes_.records().put_prompt(record));
        }
        return {};
    });
    if (!noted.ok()) log_warning("prompts that are taken back: {}", noted.error().message);
    for (const std::string& run : waiting) {
        const auto its = std::find_if(open.begin(), open.end(), [&](const auto& record) { return record.run == run; });
        if (its != open.end()) wait_on(*its);
    }
    for (PromptRecord& record : open) {
        if (record.ended) {
            spawn(boxes_.executor(), "the webhook of run " + record.run, tell(record));
        } else if (!waits(record)) {
            take_back(std::move(record));
        }
    }
    std::set<std::string> boxes;
    for (const auto& [box, line] : waiting_) boxes.insert(box);
    for (const std::string& box : boxes) begin_next(box);
    return {};
}

// What an earlier daemon left: it runs on, or has ended meanwhile.
void Agents::take_back(PromptRecord record) {
    const auto box = boxes_.find_of_any(record.box);
    auto prompt = std::make_shared<PromptRun>(boxes_.executor(), std::move(record));
    if (!box.ok()) return conclude(*prompt, AgentResult(), "its box was deleted");
    const auto harness = find_harness(prompt->record.harness);
    prompt->harness = harness.ok() ? harness.value() : &custom_harness();
    under_way_[prompt->record.run] = prompt;
    account_for(prompt, resume_account(prompt, box.value()));
}

Task<> Agents::resume_account(std::shared_ptr<PromptRun> prompt, std::shared_ptr<Box> box) {
    co_await runs_.settled(box);
    prompt->run = runs_.find(*box, prompt->record.run);
    if (prompt->run) prompt->begun.set();
    const auto run = runs_.record(*box, prompt->record.run);
    if (!run.ok()) {
        const Undo over([&] { leave(*prompt); });
        if (run.error().kind == ErrorKind::kNotFound) {  // never begun: nobody was told of it
            (void)boxes_.records().drop_prompt(prompt->record.run);
        } else {
            log_error("run {}: {}; the next start looks again", prompt->record.run, run.error().message);
        }
        prompt->ended.set();
        co_return;
    }
    const auto harness = find_harness(prompt->record.harness);
    if (!harness.ok()) co_return set_aside(*prompt, harness.error().message);
    if (prompt->record.readings > kMostReadings) {
        co_return set_aside(*prompt, "what the agent wrote cannot be read: hutchd ended each time it began to, " +
                                         std::to_string(kMostReadings) + " times");
    }
    if (prompt->run) co_return co_await account(prompt);
    const auto stream_of = [&](bool errors) {
        auto journal = runs_.journal(run.value(), errors);
        return std::make_unique<Stream>(boxes_.executor(), UniqueFd(),
                                        journal.ok() ? std::move(journal).value() : Journal());
    };
    const auto said = stream_of(false);
    const AgentResult result = co_await read_all(prompt, *said);
    const auto errors = stream_of(true);
    const std::string complaints = co_await complaints_of(errors.get());
    conclude(*prompt, result, reason_of(result, run.value(), complaints));
}

}  // namespace hutch::daemon
