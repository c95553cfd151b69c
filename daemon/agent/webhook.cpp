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

}  // namespace

Task<Result<OutboundAnswer>> Agents::call_once(std::string customer, OutboundCall call) {
    const auto turn = co_await telling_.take(std::move(customer));
    co_return co_await call_out(fetcher_, std::move(call));
}

// A few times, the last more than a minute after the first; a server that has heard of it, and refuses, has heard.
Task<> Agents::tell(PromptRecord record) {
    const OutboundCall call = call_of(record, boxes_.mechanisms().config.private_webhooks);
    const auto box = boxes_.find_of_any(record.box);
    const std::string whose = box.ok() ? box.value()->record.customer : record.box;  // it may be gone
    for (size_t tries = 0;; ++tries) {
        const auto told = co_await call_once(whose, call);
        const int64_t status = told.ok() ? told.value().status : 0;
        const bool heard = told.ok() && status < 500 && status != 408 && status != 429;
        if (heard && status < 300) break;
        const std::string what = told.ok() ? "it answered " + std::to_string(status) : told.error().message;
        log_warning("run {}: webhook {}: {}", record.run, origin_of(record.webhook_url), what);
        if (heard || tries == std::size(kPauses)) break;
        asio::steady_timer pause(boxes_.executor(), kPauses[tries]);
        co_await pause.async_wait(kAwait);
    }
    record.webhook_url.clear();
    record.webhook_headers.clear();
    // The run may have been deleted with its box meanwhile; a prompt of no run must not come back.
    const auto there = boxes_.records().prompt(record.run);
    if (there.ok() && there.value()) (void)boxes_.records().put_prompt(record);
}

}  // namespace hutch::daemon
