#include "daemon/agent/charge.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hutch::daemon {
namespace {

int64_t since(int64_t told, bool of_session, int64_t& session) {
    return of_session ? std::max<int64_t>(told - std::exchange(session, told), 0) : told;
}

}  // namespace

void charge(const AgentResult& result, AgentRecord& agent, PromptRecord& prompt) {
    const bool same_harness = agent.harness == prompt.harness;
    const bool goes_on = same_harness && agent.session == result.session;
    SessionTotal total = goes_on ? agent.session_total : SessionTotal();
    const auto cost = static_cast<int64_t>(std::llround(result.cost_usd * 1e9));
    const bool tokens = result.tokens_of_session;
    prompt.input_tokens = since(result.input_tokens, tokens, total.input_tokens);
    prompt.output_tokens = since(result.output_tokens, tokens, total.output_tokens);
    prompt.cached_input_tokens = since(result.cached_input_tokens, tokens, total.cached_input_tokens);
    prompt.cost_nano_usd = since(cost, result.cost_of_session, total.cost_nano_usd);
    ++agent.prompts;
    agent.input_tokens += prompt.input_tokens;
    agent.output_tokens += prompt.output_tokens;
    agent.cost_nano_usd += prompt.cost_nano_usd;
    if (result.session.empty() || !same_harness) return;
    agent.session = result.session;
    agent.session_total = total;
}

}  // namespace hutch::daemon
