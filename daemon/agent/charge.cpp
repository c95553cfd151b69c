#include "daemon/agent/charge.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hutch::daemon {
namespace {

constexpr double kMostUsd = 9e9;  // of which the billionth parts can still be counted

int64_t since(int64_t told, bool of_session, int64_t& session) {
    const int64_t before = of_session ? std::clamp<int64_t>(std::exchange(session, told), 0, told) : 0;
    return told - before;
}

}  // namespace

void charge(const AgentResult& result, AgentRecord& agent, PromptRecord& prompt) {
    const bool same_harness = agent.harness == prompt.harness;
    const bool goes_on = same_harness && agent.session == result.session;
    SessionTotal total = goes_on ? agent.session_total : SessionTotal();
    const auto cost = static_cast<int64_t>(std::llround(std::clamp(result.cost_usd, 0.0, kMostUsd) * 1e9));
    const bool tokens = result.tokens_of_session;
    prompt.input_tokens = since(result.input_tokens, tokens, total.input_tokens);
    prompt.output_tokens = since(result.output_tokens, tokens, total.output_tokens);
    prompt.cached_input_tokens = since(result.cached_input_tokens, tokens, total.cached_input_tokens);
    prompt.cost_nano_usd = since(cost, result.cost_of_session, total.cost_nano_usd);
    ++agent.prompts;
    add_to(agent.input_tokens, prompt.input_tokens);
    add_to(agent.output_tokens, prompt.output_tokens);
    add_to(agent.cost_nano_usd, prompt.cost_nano_usd);
    if (result.session.empty() || !same_harness) return;
    agent.session = result.session;
    agent.session_total = total;
}

}  // namespace hutch::daemon
