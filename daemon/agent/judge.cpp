// Answers that are to be valid by a schema, of programs that do not see to it themselves.

#include "daemon/agent/agents.h"
#include "daemon/agent/attempts.h"
#include "daemon/log.h"
#include "daemon/wire/json_schema.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kMostAttempts = 3;

bool is_answer(const AgentResult& result) {
    return result.finished && !result.error;
}

Result<Json> schema_of(const PromptRecord& record) {
    Json schema = TRY_IN("the json_schema on record", parse_json(record.schema));
    TRY_IN("the json_schema on record", check_schema(schema));
    return schema;
}

Prompt correction(const PromptRecord& record, const AgentResult& result, const std::string& wrong) {
    Prompt prompt;
    prompt.text = "Your answer is not valid: " + wrong + ". Give it again, corrected.";
    prompt.model = record.model;
    prompt.session = result.session;
    auto schema = schema_of(record);
    if (schema.ok()) prompt.schema = std::move(schema).value();
    return prompt;
}

}  // namespace

Task<std::optional<std::string>> Agents::violation(const PromptRecord& record, std::string answer) {
    co_return co_await boxes_.workers().run([&] {
        const auto schema = schema_of(record);
        return schema.ok() ? violation_of(schema.value(), answer) : std::optional(schema.error().message);
    });
}

Task<> Agents::judge(std::shared_ptr<PromptRun> prompt, const Transcript& transcript) {
    const PromptRecord& record = prompt->record;
    const Attempt attempt = *transcript.ended();
    const AgentResult result = transcript.result();
    std::string next = kNoMoreAttempts;
    const bool possible = attempt.exit_code == 0 && attempt.number < kMostAttempts && !result.session.empty();
    if (possible && is_answer(result)) {
        const auto wrong = co_await violation(record, result.output);
        const auto agent = of(record.box);
        if (wrong && agent.ok()) {
            const Prompt again = correction(record, result, *wrong);
            next = next_attempt(prompt->harness->invoke(agent.value(), again, nullptr));
        }
    }
    const auto box = boxes_.find_of_any(record.box);
    if (!box.ok()) co_return;  // and the run is over
    const auto told = co_await tell_next(runs_, box.value(), record.run, attempt.number, std::move(next));
    if (told.ok()) co_return;
    log_warning("run {}: {}", record.run, told.error().message);
    prompt->run->cancel();
}

Task<AgentResult> Agents::judged(const PromptRecord& record, const Transcript& transcript) {
    AgentResult result = transcript.result();
    if (record.schema.empty() || !is_answer(result)) co_return result;
    const auto wrong = co_await violation(record, result.output);
    if (!wrong) co_return result;
    const int64_t attempts = transcript.ended() ? transcript.ended()->number : 1;
    result.error = "the answer is not valid by json_schema: " + *wrong;
    if (attempts > 1) *result.error += "; it was asked for " + std::to_string(attempts) + " times";
    if (result.session.empty()) *result.error += "; the program told no session in which to ask again";
    co_return result;
}

}  // namespace hutch::daemon
