// The agent of a box: which, and which model.

#include "daemon/agent/readiness.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr size_t kLongestOption = 4096;  // bytes of a model's name, a command or an argument

Result<std::string> short_text(const Fields& fields, const char* field) {
    std::string text = TRY(fields.text(field)).value_or("");
    if (text.size() > kLongestOption || text.find('\0') != std::string::npos) {
        return invalid(std::string(field) + ": must be at most 4096 bytes of text");
    }
    return text;
}

// The harness that fits a model of this provider best.
const char* harness_for(const std::string& model) {
    const std::string provider = split_model(model).provider;
    if (provider == "anthropic") return "claude-code";
    return provider == "openai" ? "codex" : "opencode";
}

constexpr size_t kMostArgs = 64 << 10;  // bytes

Result<void> decode_runner(const Fields& fields, AgentRecord& agent) {
    const auto runner = TRY(fields.object("custom_runner"));
    if (!runner) return {};
    agent.command = TRY_IN("custom_runner", short_text(*runner, "command"));
    if (agent.command.empty()) return invalid("custom_runner.command: is required, the program to run");
    agent.args = TRY_IN("custom_runner", runner->texts("args"));
    size_t bytes = 0;
    for (const std::string& argument : agent.args) {
        if (argument.find('\0') != std::string::npos) return invalid("custom_runner.args: must not contain NUL");
        bytes += argument.size() + 1;
    }
    if (bytes > kMostArgs) return invalid("custom_runner.args: are longer than 64 KiB together");
    const std::string protocol = TRY_IN("custom_runner", runner->text_or("protocol", "box-sse-v1"));
    if (protocol != "box-sse-v1") return invalid("custom_runner.protocol: must be box-sse-v1");
    return {};
}

// A key that the client says is kept by the server is none of the box's own.
Result<std::string> decode_key(const Fields& fields) {
    std::string key = TRY(short_text(fields, "agent_api_key"));
    if (key == "UPSTASH_KEY" || key == "STORED_KEY") key.clear();
    if (key.find_first_of("\r\n") != std::string::npos) return invalid("agent_api_key: must be one line");
    return key;
}

Answer set_model(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    CO_TRY_LET(const std::string model, short_text(fields, "model"));
    if (model.empty()) co_return invalid("model: is required, such as anthropic/claude-sonnet-4-5");
    CO_TRY_LET(AgentRecord agent, services.agents.of(box->record.id));
    if (agent.harness.empty()) agent.harness = harness_for(model);
    CO_TRY(check_model(agent.harness, model));
    use_model(agent, model);
    CO_TRY(services.agents.configure(agent));
    co_return std::optional(answer(box_json(services, *box)));
}

Answer set_runner(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const Fields fields, co_await read_fields(exchange));
    CO_TRY_LET(const auto box, find_box(services, exchange, params));
    if (!fields.has("custom_runner")) co_return invalid("custom_runner: is required, {command, args?, protocol?}");
    CO_TRY_LET(AgentRecord agent, services.agents.of(box->record.id));
    CO_TRY(decode_runner(fields, agent));
    if (agent.harness != "custom") agent.session.clear();  // another's
    agent.harness = "custom";
    if (agent.model.empty()) agent.model = "custom";
    CO_TRY(services.agents.configure(agent));
    co_return std::optional(answer(box_json(services, *box)));
}

}  // namespace

static Result<std::optional<AgentRecord>> decode_program(const Fields& fields) {
    AgentRecord agent;
    agent.harness = TRY(short_text(fields, "agent"));
    agent.model = TRY(short_text(fields, "model"));
    if (agent.harness.empty() && agent.model.empty()) {
        for (const char* field : {"custom_runner", "agent_api_key"}) {
            if (fields.has(field)) return invalid(std::string(field) + ": needs agent and model beside it");
        }
        return std::optional<AgentRecord>();
    }
    if (agent.harness.empty()) {
        TRY(check_model("", agent.model));  // or there would be no telling whose program
        agent.harness = harness_for(agent.model);
    }
    TRY(find_harness(agent.harness));
    agent.api_key = TRY(decode_key(fields));
    if (agent.harness == "custom") {
        if (!fields.has("custom_runner")) return invalid("custom_runner: is required when agent is custom");
        TRY(decode_runner(fields, agent));
        if (agent.model.empty()) agent.model = "custom";
    }
    if (agent.model.empty()) return invalid("model: is required with agent, such as anthropic/claude-sonnet-4-5");
    TRY(check_model(agent.harness, agent.model));
    return std::optional(std::move(agent));
}

Result<AgentChoice> decode_agent(const Fields& fields) {
    return AgentChoice{TRY(decode_program(fields)), TRY(decode_mcp_servers(fields)), TRY(decode_skills(fields))};
}

// What is no program's own goes along with another program too.
static Result<AgentRecord> chosen(Services& services, const AgentChoice& choice, const std::string& like) {
    const AgentRecord old = like.empty() ? AgentRecord() : TRY(services.agents.heritage(like));
    AgentRecord agent = choice.agent.value_or(old);
    agent.mcp_servers = choice.mcp_servers.value_or(old.mcp_servers);
    agent.skills = old.skills;  // they are among its files
    return agent;
}

static Result<void> tell(Services& services, const std::vector<std::shared_ptr<Box>>& boxes, const AgentChoice& choice,
                         const std::string& like) {
    AgentRecord agent = TRY(chosen(services, choice, like));
    for (const auto& box : boxes) {
        agent.owner = box->record.id;
        TRY(services.agents.configure(agent));
    }
    return {};
}

// What a box's init command does not bring must be there: all of these boxes have the same files.
static Task<Result<void>> check_installed(Services& services, std::vector<std::shared_ptr<Box>> boxes,
                                          AgentChoice choice) {
    if (!choice.agent || !boxes.front()->record.init_command.empty()) co_return Result<void>();
    CO_TRY_LET(const Harness* const harness, find_harness(choice.agent->harness));
    co_return co_await check_program(services.boxes.workers(), boxes.front(), *harness);
}

Task<Result<void>> equip(Services& services, std::vector<std::shared_ptr<Box>> boxes, AgentChoice choice,
                         std::string like) {
    auto told = co_await check_installed(services, boxes, choice);
    if (told.ok()) told = tell(services, boxes, choice, like);
    for (const auto& box : boxes) {
        if (told.ok()) told = co_await learn(services, box, choice.skills);
    }
    if (told.ok()) co_return told;
    for (const auto& made : boxes) (void)co_await services.boxes.remove(made);
    co_return told;
}

void add_agent_routes(Router& router, Services& services) {
    router.add("PUT", "/v2/box/{id}/config/model", with(services, set_model));
    router.add("PUT", "/v2/box/{id}/config/custom-runner", with(services, set_runner));
    add_skill_routes(router, services);
}

}  // namespace hutch::daemon
