// Skills of a box's agent: directories of repositories, which its program reads when a task asks for them.

#include <algorithm>

#include "daemon/api/resources.h"
#include "daemon/git/skills.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kMostSkills = 50;

// The row is read when the box has been changed: others may have written it meanwhile.
Result<std::vector<std::string>> note(Services& services, const Box& box, const std::string& id, bool there) {
    AgentRecord agent = TRY(services.agents.of(box.record.id));
    std::erase(agent.skills, id);
    if (there) agent.skills.push_back(id);
    TRY(services.boxes.records().put_agent(agent));
    return agent.skills;
}

Response answer_skills(const std::vector<std::string>& skills) {
    return answer(Json{{"enabled_skills", skills}});
}

Answer add_skill(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const std::string id, fields.required_text("skill_id"));
    CO_TRY(find_box(services, exchange, params));
    CO_TRY(parse_skill("skill_id", id));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    std::vector<std::string> one(1, id);
    CO_TRY(co_await learn(services, box, std::move(one)));
    CO_TRY_LET(const AgentRecord agent, services.agents.of(box->record.id));
    co_return std::optional(answer_skills(agent.skills));
}

Answer remove_skill(Services& services, Exchange& exchange, const Params& params) {
    const auto skill = params.find("skill");
    const std::string rest = skill == params.end() ? "" : "/" + skill->second;
    const std::string id = params.at("owner") + "/" + params.at("repo") + rest;
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const SkillName name, parse_skill("skill", id));
    CO_TRY_LET(const AgentRecord agent, services.agents.of(box->record.id));
    if (std::find(agent.skills.begin(), agent.skills.end(), id) == agent.skills.end()) {
        co_return Error{ErrorKind::kNotFound, 0, "box " + box->record.id + " has no skill \"" + id + "\""};
    }
    CO_TRY(co_await remove_skill(services.runs, box, name));
    CO_TRY_LET(const auto left, note(services, *box, id, false));
    co_return std::optional(answer_skills(left));
}

}  // namespace

Result<std::vector<std::string>> decode_skills(const Fields& fields) {
    std::vector<std::string> skills;
    for (std::string& id : TRY(fields.texts("skills"))) {
        TRY(parse_skill("skills", id));
        if (std::find(skills.begin(), skills.end(), id) == skills.end()) skills.push_back(std::move(id));
        if (skills.size() > kMostSkills) return invalid("skills: at most 50");
    }
    return skills;
}

Task<Result<void>> learn(Services& services, std::shared_ptr<Box> box, std::vector<std::string> skills) {
    if (skills.empty()) co_return Result<void>();
    CO_TRY(co_await services.boxes.wake(box));
    for (const std::string& id : skills) {
        CO_TRY_LET(const SkillName name, parse_skill("skills", id));
        CO_TRY_LET(const AgentRecord agent, services.agents.of(box->record.id));
        if (agent.skills.size() >= kMostSkills) co_return invalid("skills: at most 50 per box; take one away first");
        CO_TRY_LET(Pairs env, environment_of(services, *box));
        Credential credential{services.config.github_url, box->record.git_token};
        auto installed = co_await install_skill(services.runs, box, std::move(env), std::move(credential), name);
        if (!installed.ok()) co_return std::move(installed).error().in("skills");
        CO_TRY(note(services, *box, id, true));
    }
    co_return Result<void>();
}

void add_skill_routes(Router& router, Services& services) {
    router.add("POST", "/v2/box/{id}/config/skills", with(services, add_skill));
    router.add("DELETE", "/v2/box/{id}/config/skills/{owner}/{repo}", with(services, remove_skill));
    router.add("DELETE", "/v2/box/{id}/config/skills/{owner}/{repo}/{skill}", with(services, remove_skill));
}

}  // namespace hutch::daemon
