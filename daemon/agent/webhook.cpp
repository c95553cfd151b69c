// Who asked to be told of a prompt's end, and did not wait for it.

#include "base/text.h"
#include "daemon/agent/agents.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr std::chrono::seconds kPauses[] = {std::chrono::seconds(1), std::chrono::seconds(10),
                                            std::chrono::seconds(60)};

OutboundCall call_of(const PromptRecord& prompt, bool to_private) {
    Json body{
        {"box_id", prompt.box}, {"run_id", prompt.run}, {"status", prompt.error.empty() ? "completed" : "failed"}};
    if (!prompt.output.empty()) body["output"] = prompt.output;
    if (!prompt.error.empty()) body["error"] = prompt.error;
    body["metadata"] = {{"input_tokens", prompt.input_tokens},
                        {"output_tokens", prompt.output_tokens},
                        {"cached_input_tokens", prompt.cached_input_tokens},
                        {"total_cost_usd", static_cast<double>(prompt.cost_nano_usd) / 1e9},
                        {"session_id", prompt.session}};
    OutboundCall call;
    call.url = prompt.webhook_url;
    call.headers = {"Content-Type: application/json"};
    for (const auto& [name, value] : prompt.webhook_headers) call.headers.push_back(name + ": " + value);
    call.body = dump(body);
    call.to_private = to_private;
    return call;
}

size_t size_of(const PromptRecord& record) {
    size_t size = sizeof(record) + record.output.size() + record.error.size() + record.schema.size();
    for (const auto& [name, value] : record.webhook_headers) size += name.size() + value.size() + 2 * sizeof(name);
    return size;
}

}  // namespace

Task<Result<OutboundAnswer>> Agents::tell_once(std::string customer, const std::string& run,
                                               const std::optional<PromptRecord>& held) {
    const auto turn = co_await telling_.take(std::move(customer));
    std::optional<PromptRecord> recorded;
    if (!held) {
        CO_TRY_LET(recorded, boxes_.records().prompt(run));
    }
    if (!held && !recorded) co_return Error{ErrorKind::kNotFound, 0, "nothing is on record of it any more"};
    const bool to_private = boxes_.mechanisms().config.private_webhooks;
    const auto write = [&] { return call_of(held ? *held : *recorded, to_private); };
    co_return co_await call_out(fetcher_, co_await boxes_.workers().run(write));
}

// A few times, the last more than a minute after the first; a server that has heard of it, and refuses, has heard.
// Meanwhile more come than go, if their receiver is slow: beyond a share of memory what they tell is on record alone.
Task<> Agents::tell(PromptRecord record) {
    const std::string run = record.run;
    const std::string origin = origin_of(record.webhook_url);
    const auto box = boxes_.find_of_any(record.box);
    const std::string whose = box.ok() ? box.value()->record.customer : record.box;  // it may be gone
    MemoryShare share(untold_, whose);
    std::optional<PromptRecord> held(std::move(record));
    if (!share.grow(size_of(*held)).ok()) held.reset();
    for (size_t tries = 0;; ++tries) {
        const auto told = co_await tell_once(whose, run, held);
        const int64_t status = told.ok() ? told.value().status : 0;
        const bool heard = told.ok() && status < 500 && status != 408 && status != 429;
        if (heard && status < 300) break;
        const std::string what = told.ok() ? "it answered " + std::to_string(status) : told.error().message;
        log_warning("run {}: webhook {}: {}", run, origin, what);
        const bool gone = !told.ok() && told.error().kind == ErrorKind::kNotFound;
        if (heard || gone || tries == std::size(kPauses)) break;
        asio::steady_timer pause(boxes_.executor(), kPauses[tries]);
        co_await pause.async_wait(kAwait);
    }
    // The run may have been deleted with its box meanwhile; a prompt of no run must not come back.
    auto there = boxes_.records().prompt(run);
    if (!there.ok() || !there.value()) co_return;
    there.value()->webhook_url.clear();
    there.value()->webhook_headers.clear();
    (void)boxes_.records().put_prompt(*there.value());
}

}  // namespace hutch::daemon
