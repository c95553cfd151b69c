#include "daemon/agent/readiness.h"

#include <algorithm>

#include "daemon/files/files.h"

namespace hutch::daemon {
namespace {

/// The variables by which programs are told of their own way to a provider's models; the first is that of its key.
struct OwnVariables {
    const char* provider;
    std::vector<std::string> names;
};

// Not opencode: its server answers some models without a key.
const std::vector<OwnVariables>& own_variables() {
    static const std::vector<OwnVariables> kAll = {
        {"anthropic",
         {"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN",
          "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"}},
        {"openai", {"OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_API_KEY"}},
        {"openrouter", {"OPENROUTER_API_KEY"}},
        {"vercel", {"AI_GATEWAY_API_KEY"}},
    };
    return kAll;
}

bool names_one(const Pairs& env, const std::vector<std::string>& names) {
    return std::any_of(env.begin(), env.end(), [&names](const auto& variable) {
        return !variable.second.empty() && std::find(names.begin(), names.end(), variable.first) != names.end();
    });
}

// What cannot be opened for another reason than that it is missing is there.
bool any_is_there(const Files& files, const std::vector<std::string>& paths) {
    return std::any_of(paths.begin(), paths.end(), [&files](const std::string& path) {
        const auto file = files.open_for_reading(path);
        return file.ok() || file.error().kind != ErrorKind::kNotFound;
    });
}

Task<Result<bool>> has_one_of(Workers& workers, std::shared_ptr<Box> box, std::vector<std::string> paths) {
    CO_TRY_LET(const Files files, Files::of(*box));
    co_return co_await workers.run([&]() -> Result<bool> { return any_is_there(files, paths); });
}

Error no_key(const std::string& provider, const std::string& model, const std::string& variable) {
    return {ErrorKind::kConflict, 0,
            "agent: there is no key for " + provider + ", whose model " + model +
                " it calls; set one with hutch key set " + provider +
                ", or make the box with agent_api_key or the variable " + variable};
}

}  // namespace

Task<Result<void>> check_own_way(Workers& workers, std::shared_ptr<Box> box, const AgentRecord& agent,
                                 const Harness& harness, const Command& surroundings) {
    if (*harness.program() == '\0') co_return Result<void>();  // one's own, which may need none
    const ModelName model = split_model(agent.model);
    const std::string provider = model.provider.empty() ? harness.provider() : model.provider;
    const auto& all = own_variables();
    const auto own =
        std::find_if(all.begin(), all.end(), [&provider](const auto& each) { return each.provider == provider; });
    if (own == all.end() || names_one(surroundings.env, own->names)) co_return Result<void>();
    std::vector<std::string> paths;
    for (const char* file : harness.own_settings()) paths.push_back(surroundings.user.home + "/" + file);
    CO_TRY_LET(const bool told_by_hand, co_await has_one_of(workers, std::move(box), std::move(paths)));
    if (!told_by_hand) co_return no_key(provider, model.name, own->names.front());
    co_return Result<void>();
}

Task<Result<void>> check_program(Workers& workers, std::shared_ptr<Box> box, const Harness& harness) {
    const std::string program = harness.program();
    if (program.empty()) co_return Result<void>();
    const std::string image = box->record.image;
    std::vector<std::string> paths;
    for (const std::string& directory : program_directories()) paths.push_back(directory + "/" + program);
    CO_TRY_LET(const bool there, co_await has_one_of(workers, std::move(box), std::move(paths)));
    if (there) co_return Result<void>();
    co_return invalid(
        "agent: its program " + program + " is not in image " + image +
        "; start from image agents (hutch image build agents makes it), or leave the agent out, install " + program +
        " in the box, and tell the box its model then (PUT config/model)");
}

}  // namespace hutch::daemon
