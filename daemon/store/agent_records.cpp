#include "daemon/store/records.h"

namespace hutch::daemon {

Result<void> Records::put_agent(const AgentRecord& agent) {
    const std::string api_key = TRY(seal(agent.api_key, "agents.api_key", agent.owner));
    const std::string mcp_servers = TRY(seal(agent.mcp_servers, "agents.mcp_servers", agent.owner));
    return database_.query("INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(agent.owner)
        .bind(agent.harness)
        .bind(agent.model)
        .bind(agent.command)
        .bind(join_texts(agent.args))
        .bind(api_key)
        .bind(agent.session)
        .bind(agent.prompts)
        .bind(agent.input_tokens)
        .bind(agent.output_tokens)
        .bind(agent.cost_nano_usd)
        .bind(agent.session_total.cost_nano_usd)
        .bind(agent.session_total.input_tokens)
        .bind(agent.session_total.output_tokens)
        .bind(agent.session_total.cached_input_tokens)
        .bind(mcp_servers)
        .bind(join(agent.skills))
        .run();
}

Result<AgentRecord> Records::agent(const std::string& owner) {
    Query query = database_.query("SELECT * FROM agents WHERE owner = ?");
    query.bind(owner);
    AgentRecord agent;
    agent.owner = owner;
    if (!TRY(query.step())) return agent;
    agent.harness = query.text(1);
    agent.model = query.text(2);
    agent.command = query.text(3);
    agent.args = split_texts(query.text(4));
    agent.api_key = TRY(unseal(query.text(5), "agents.api_key", owner));
    agent.session = query.text(6);
    agent.prompts = query.number(7);
    agent.input_tokens = query.number(8);
    agent.output_tokens = query.number(9);
    agent.cost_nano_usd = query.number(10);
    agent.session_total = {.input_tokens = query.number(12),
                           .output_tokens = query.number(13),
                           .cached_input_tokens = query.number(14),
                           .cost_nano_usd = query.number(11)};
    agent.mcp_servers = TRY(unseal(query.text(15), "agents.mcp_servers", owner));
    agent.skills = split(query.text(16));
    return agent;
}

Result<void> Records::put_prompt(const PromptRecord& prompt) {
    const std::string url = TRY(seal(prompt.webhook_url, "prompts.webhook_url", prompt.run));
    const std::string headers = TRY(seal(join(prompt.webhook_headers), "prompts.webhook_headers", prompt.run));
    return database_.query("INSERT OR REPLACE INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(prompt.run)
        .bind(prompt.box)
        .bind(prompt.harness)
        .bind(prompt.model)
        .bind(int64_t{prompt.ended})
        .bind(prompt.output)
        .bind(prompt.error)
        .bind(prompt.session)
        .bind(prompt.input_tokens)
        .bind(prompt.output_tokens)
        .bind(prompt.cached_input_tokens)
        .bind(prompt.cost_nano_usd)
        .bind(url)
        .bind(headers)
        .bind(prompt.schema)
        .bind(prompt.readings)
        .run();
}

Result<void> Records::drop_prompt(const std::string& run) {
    return database_.query("DELETE FROM prompts WHERE run = ?").bind(run).run();
}

Result<PromptRecord> Records::prompt_of(Query& query) const {
    const std::string run = query.text(0);
    const std::string url = TRY(unseal(query.text(12), "prompts.webhook_url", run));
    const std::string headers = TRY(unseal(query.text(13), "prompts.webhook_headers", run));
    return PromptRecord{.run = run,
                        .box = query.text(1),
                        .harness = query.text(2),
                        .model = query.text(3),
                        .ended = query.number(4) != 0,
                        .output = query.text(5),
                        .error = query.text(6),
                        .session = query.text(7),
                        .input_tokens = query.number(8),
                        .output_tokens = query.number(9),
                        .cached_input_tokens = query.number(10),
                        .cost_nano_usd = query.number(11),
                        .webhook_url = url,
                        .webhook_headers = split_pairs(headers),
                        .schema = query.text(14),
                        .readings = query.number_within(15, 0, 1'000'000)};
}

Result<std::vector<PromptRecord>> Records::prompts_in(Query& query) const {
    std::vector<PromptRecord> prompts;
    while (TRY(query.step())) prompts.push_back(TRY(prompt_of(query)));
    return prompts;
}

Result<std::optional<PromptRecord>> Records::prompt(const std::string& run) {
    Query query = database_.query("SELECT * FROM prompts WHERE run = ?");
    query.bind(run);
    if (!TRY(query.step())) return std::optional<PromptRecord>();
    return std::optional(TRY(prompt_of(query)));
}

Result<std::vector<PromptRecord>> Records::open_prompts() {
    Query query = database_.query("SELECT * FROM prompts WHERE ended = 0 OR webhook_url != ''");
    return prompts_in(query);
}

Result<void> Records::add_waiting(const std::string& run, const std::string& words) {
    const std::string sealed = TRY(seal(words, "waiting_prompts.words", run));
    return database_.query("INSERT INTO waiting_prompts VALUES (?, ?)").bind(run).bind(sealed).run();
}

Result<std::string> Records::waiting(const std::string& run) {
    Query query = database_.query("SELECT words FROM waiting_prompts WHERE run = ?");
    query.bind(run);
    if (!TRY(query.step())) return Error{ErrorKind::kNotFound, 0, "run " + run + " does not wait"};
    return unseal(query.text(0), "waiting_prompts.words", run);
}

Result<std::vector<std::string>> Records::all_waiting() {
    std::vector<std::string> all;
    Query query = database_.query("SELECT run FROM waiting_prompts JOIN runs ON id = run ORDER BY number");
    while (TRY(query.step())) all.push_back(query.text(0));
    return all;
}

Result<void> Records::add_grant(const ModelGrantRecord& grant) {
    return database_.query("INSERT INTO model_grants VALUES (?, ?, ?, ?)")
        .bind(grant.run)
        .bind(grant.box)
        .bind(grant.provider)
        .bind(grant.hash)
        .run();
}

Result<void> Records::drop_grant(const std::string& run) {
    return database_.query("DELETE FROM model_grants WHERE run = ?").bind(run).run();
}

Result<std::vector<ModelGrantRecord>> Records::grants() {
    std::vector<ModelGrantRecord> grants;
    // Of one whose run has ended a daemon was killed before it could take it back.
    Query query = database_.query(
        "SELECT run, box, provider, hash FROM model_grants WHERE run IN (SELECT run FROM prompts WHERE ended = 0)");
    while (TRY(query.step())) grants.push_back({query.text(0), query.text(1), query.text(2), query.text(3)});
    return grants;
}

}  // namespace hutch::daemon
