// Who asked to be told of a prompt's end, and did not wait for it.

#include "daemon/agent/agents.h"

namespace hutch::daemon {
namespace {

std::string end_of(const PromptRecord& prompt) {
    Json body{
        {"box_id", prompt.box}, {"run_id", prompt.run}, {"status", prompt.error.empty() ? "completed" : "failed"}};
    if (!prompt.output.empty()) body["output"] = prompt.output;
    if (!prompt.error.empty()) body["error"] = prompt.error;
    body["metadata"] = {{"input_tokens", prompt.input_tokens},
                        {"output_tokens", prompt.output_tokens},
                        {"cached_input_tokens", prompt.cached_input_tokens},
                        {"total_cost_usd", static_cast<double>(prompt.cost_nano_usd) / 1e9},
                        {"session_id", prompt.session}};
    return dump(body);
}

size_t size_of(const PromptRecord& record) {
    size_t size = sizeof(record) + record.output.size() + record.error.size() + record.schema.size();
    for (const auto& [name, value] : record.webhook_headers) size += name.size() + value.size() + 2 * sizeof(name);
    return size;
}

}  // namespace

// Meanwhile more come than go, if their receiver is slow: beyond a share of memory what they tell is on record alone.
Task<> Agents::tell(PromptRecord record) {
    const std::string run = record.run;
    const auto box = boxes_.find_of_any(record.box);
    const std::string whose = box.ok() ? box.value()->record.customer : record.box;  // it may be gone
    MemoryShare share(untold_, whose);
    std::optional<PromptRecord> held(std::move(record));
    if (!share.grow(size_of(*held)).ok()) held.reset();
    Webhooks::Tell tell = [this, &run, &held]() -> Task<Result<Webhooks::Telling>> {
        std::optional<PromptRecord> recorded;
        if (!held) {
            CO_TRY_LET(recorded, boxes_.records().prompt(run));
        }
        if (!held && !recorded) co_return Error{ErrorKind::kNotFound, 0, "nothing is on record of it any more"};
        const PromptRecord& told = held ? *held : *recorded;
        const auto write = [&told]() -> Result<Webhooks::Telling> {
            return Webhooks::Telling{{told.webhook_url, told.webhook_headers}, end_of(told)};
        };
        co_return co_await boxes_.workers().run(write);
    };
    co_await webhooks_.tell(whose, run, std::move(tell));
    auto there = boxes_.records().prompt(run);
    if (!there.ok() || !there.value()) co_return;
    there.value()->webhook_url.clear();
    there.value()->webhook_headers.clear();
    // Its run may be gone with its box, and was outlived for this alone.
    const auto its = boxes_.records().run(there.value()->box, run);
    if (!its.ok()) co_return;
    (void)(its.value() ? boxes_.records().put_prompt(*there.value()) : boxes_.records().drop_prompt(run));
}

}  // namespace hutch::daemon
