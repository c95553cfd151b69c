#include "daemon/agent/direct.h"

namespace hutch::daemon {

std::optional<ModelAccess> direct_access(const AgentRecord& agent, const Harness& harness) {
    struct Provider {
        const char* name;
        const char* base_url;
    };
    static constexpr Provider kProviders[] = {
        {"anthropic", "https://api.anthropic.com"},  {"openai", "https://api.openai.com"},
        {"openrouter", "https://openrouter.ai/api"}, {"opencode", "https://opencode.ai/zen"},
        {"vercel", "https://ai-gateway.vercel.sh"},
    };
    if (agent.api_key.empty()) return std::nullopt;
    const std::string named = split_model(agent.model).provider;
    const std::string provider = named.empty() ? harness.provider() : named;
    for (const Provider& known : kProviders) {
        if (provider == known.name) return ModelAccess{known.base_url, agent.api_key};
    }
    return std::nullopt;
}

}  // namespace hutch::daemon
