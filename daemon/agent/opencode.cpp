// OpenCode: `opencode run --format json`, a JSON line for each part of what it says and does.

#include "daemon/agent/mcp.h"

namespace hutch::daemon {
namespace {

using Kind = Option::Kind;

const std::vector<Option>& opencode_options() {
    static const std::vector<Option> kOptions = {
        {"reasoningEffort", Kind::kText, {"low", "medium", "high"}},
        {"textVerbosity", Kind::kText, {"low", "medium", "high"}},
        {"reasoningSummary", Kind::kText, {"auto", "concise", "detailed", "none"}},
        {"thinking", Kind::kObject},
    };
    return kOptions;
}

class OpencodeTranscript final : public Transcript {
    void read(std::string_view line, const Take& take) override {
        const auto event = object_of(line);
        if (!event) return note_plain(line);
        const std::string type = text_at(*event, "type");
        const std::string session = text_at(*event, "sessionID");
        if (!session.empty()) result_.session = session;
        const Json& part = object_at(*event, "part");
        if (type == "text") {
            result_.output = text_at(part, "text");
            take({"text", {{"text", result_.output}}});
        } else if (type == "reasoning") {
            take({"thinking", {{"text", text_at(part, "text")}}});
        } else if (type == "tool_use") {
            tell_tool(part, take);
        } else if (type == "step_finish") {
            note_step(part);
        } else if (type == "error") {
            note_error(object_at(*event, "error"));
        }
    }

    // It tells of a tool when that has ended.
    static void tell_tool(const Json& part, const Take& take) {
        const Json& state = object_at(part, "state");
        const std::string id = text_at(part, "callID");
        take({"tool", {{"toolCallId", id}, {"name", text_at(part, "tool")}, {"input", object_at(state, "input")}}});
        const std::string error = text_at(state, "error");
        take({"tool_result", {{"toolCallId", id}, {"output", error.empty() ? text_at(state, "output") : error}}});
    }

    void note_step(const Json& part) {
        const Json& tokens = object_at(part, "tokens");
        const int64_t cached = count_at(object_at(tokens, "cache"), "read");
        add_to(result_.cached_input_tokens, cached);
        add_to(result_.input_tokens, count_at(tokens, "input") + cached);
        add_to(result_.output_tokens, count_at(tokens, "output") + count_at(tokens, "reasoning"));
        result_.cost_usd += amount_at(part, "cost");
        result_.finished = text_at(part, "reason") != "tool-calls";
    }

    void note_error(const Json& error) {
        std::string message = text_at(object_at(error, "data"), "message");
        if (message.empty()) message = text_at(error, "message");
        if (message.empty()) message = text_at(error, "name");
        result_.error = message.empty() ? "opencode failed" : message;
    }
};

// The whole configuration is a variable, which no other user sees.
Json config_of(const std::vector<McpServer>& servers) {
    Json config = Json::object();
    for (const McpServer& server : servers) {
        Json& entry = config[server.name];
        if (server.package.empty()) {
            entry = {{"type", "remote"}, {"url", server.url}, {"oauth", false}};
            for (const auto& [name, value] : server.headers) entry["headers"][name] = value;
        } else {
            entry = {{"type", "local"}, {"command", Json(mcp_command(server))}};
        }
        entry["enabled"] = true;
        entry["timeout"] = kMcpStartSeconds * 1000;
    }
    return config;
}

// The box is the sandbox: it is not to ask, since nobody answers, and then it stops. What it would ask for by itself:
// leaving its directory, reading a .env, calling a tool thrice in the same words.
Json permissions() {
    Json allowed = Json::object();
    for (const char* what : {"edit", "bash", "webfetch", "external_directory", "read", "doom_loop"}) {
        allowed[what] = "allow";
    }
    return allowed;
}

class Opencode final : public Harness {
    [[nodiscard]] const char* name() const override { return "opencode"; }
    [[nodiscard]] const char* provider() const override { return ""; }
    [[nodiscard]] const char* program() const override { return "opencode"; }
    [[nodiscard]] std::vector<const char*> own_settings() const override {
        return {".local/share/opencode/auth.json", ".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"};
    }
    [[nodiscard]] bool holds_to_schema() const override { return false; }
    [[nodiscard]] Result<void> check(const Json& chosen) const override {
        return check_options(chosen, opencode_options(), name());
    }
    [[nodiscard]] std::unique_ptr<Transcript> transcript() const override {
        return std::make_unique<OpencodeTranscript>();
    }

    [[nodiscard]] Invocation invoke(const AgentRecord& agent, const Prompt& prompt,
                                    const ModelAccess* access) const override {
        const ModelName model = split_model(prompt.model);
        Invocation how;
        how.argv = {"opencode", "run", "--format", "json", "-m", prompt.model};
        if (!prompt.session.empty()) how.argv.insert(how.argv.end(), {"--session", prompt.session});
        Json config{{"autoupdate", false}, {"share", "disabled"}, {"permission", permissions()}};
        if (access != nullptr) {
            // Its providers' own programs append the rest of the path to a base that ends with the version.
            config["provider"][model.provider]["options"] = {{"baseURL", access->base_url + "/v1"},
                                                             {"apiKey", "{env:HUTCH_MODEL_TOKEN}"}};
            how.env.emplace_back("HUTCH_MODEL_TOKEN", access->token);
        }
        if (!prompt.options.empty()) {
            config["provider"][model.provider]["models"][model.name]["options"] = prompt.options;
        }
        const std::vector<McpServer> servers = mcp_servers_of(agent);
        if (!servers.empty()) config["mcp"] = config_of(servers);
        how.env.emplace_back("OPENCODE_CONFIG_CONTENT", dump(config));
        how.env.emplace_back("OPENCODE_DISABLE_AUTOUPDATE", "1");
        how.input = file_instruction(prompt.files) + prompt.text +
                    (prompt.schema.is_null() ? "" : schema_instruction(prompt.schema));
        return how;
    }
};

}  // namespace

const Harness& opencode() {
    static const Opencode kOpencode;
    return kOpencode;
}

}  // namespace hutch::daemon
