// OpenAI Codex: `codex exec --json`, a JSON line for each thing it does.

#include "daemon/agent/mcp.h"

namespace hutch::daemon {
namespace {

using Kind = Option::Kind;

// Of a call that fails, each after twice the time: a minute, which is what the other programs take.
constexpr int kCodexRetries = 8;
constexpr const char* kSchemaFile = "/tmp/.hutch-answer-schema.json";

const std::vector<Option>& codex_options() {
    static const std::vector<Option> kOptions = {
        {"model_reasoning_effort", Kind::kText, {"none", "minimal", "low", "medium", "high", "xhigh"}},
        {"model_reasoning_summary", Kind::kText, {"auto", "concise", "detailed", "none"}},
        {"personality", Kind::kText, {"friendly", "pragmatic", "none"}},
        {"web_search", Kind::kTextOrBoolean, {"live"}},
    };
    return kOptions;
}

// What it does beside speaking: name, what went in, what came out.
struct Tool {
    std::string name;
    Json input;
    Json output;
};

std::optional<Tool> tool_of(const Json& item) {
    const std::string type = text_at(item, "type");
    if (type == "command_execution") {
        return Tool{"shell", {{"command", text_at(item, "command")}}, text_at(item, "aggregated_output")};
    }
    if (type == "file_change") {
        return Tool{"apply_patch", {{"changes", item.value("changes", Json::array())}}, text_at(item, "status")};
    }
    if (type == "mcp_tool_call") {
        return Tool{text_at(item, "server") + "." + text_at(item, "tool"), item.value("arguments", Json::object()),
                    item.value("result", Json())};
    }
    if (type == "web_search") return Tool{"web_search", {{"query", text_at(item, "query")}}, ""};
    return std::nullopt;
}

class CodexTranscript final : public Transcript {
    void read(std::string_view line, const Take& take) override {
        const auto event = object_of(line);
        if (!event) return note_plain(line);
        const std::string type = text_at(*event, "type");
        if (type == "thread.started") {
            result_.session = text_at(*event, "thread_id");
        } else if (type == "item.started") {
            begin_item(object_at(*event, "item"), take);
        } else if (type == "item.completed") {
            end_item(object_at(*event, "item"), take);
        } else if (type == "turn.completed") {
            note_usage(object_at(*event, "usage"));
        } else if (type == "turn.failed") {
            result_.error = text_at(object_at(*event, "error"), "message");
            result_.finished = true;
        }  // an "error" is of a try that it may repeat: the turn's end decides
    }

    // Of the whole session, whatever the event's name says.
    void note_usage(const Json& usage) {
        result_.input_tokens = count_at(usage, "input_tokens");
        result_.cached_input_tokens = count_at(usage, "cached_input_tokens");
        result_.output_tokens = count_at(usage, "output_tokens");
        result_.tokens_of_session = true;
        result_.finished = true;
    }

    void begin_item(const Json& item, const Take& take) {
        const auto tool = tool_of(item);
        if (!tool) return;
        begun_ = text_at(item, "id");
        take({"tool", {{"toolCallId", begun_}, {"name", tool->name}, {"input", tool->input}}});
    }

    void end_item(const Json& item, const Take& take) {
        const std::string type = text_at(item, "type");
        if (type == "agent_message") {
            result_.output = text_at(item, "text");
            take({"text", {{"text", result_.output}}});
        } else if (type == "reasoning") {
            take({"thinking", {{"text", text_at(item, "text")}}});
        } else if (const auto tool = tool_of(item)) {
            const std::string id = text_at(item, "id");
            if (id != begun_) begin_item(item, take);
            take({"tool_result", {{"toolCallId", id}, {"output", tool->output}}});
        }
    }

    std::string begun_;
};

// TOML's texts and arrays are written as JSON's are; its tables are not.
std::string table(const Pairs& entries) {
    std::string text;
    for (const auto& [key, value] : entries) text += (text.empty() ? "" : ", ") + dump(Json(key)) + " = " + value;
    return "{" + text + "}";
}

// Required: one that is not would be waited for by nobody, and its tools be missing when the prompt begins.
void add_servers_to_codex(Invocation& how, const std::vector<McpServer>& servers) {
    for (const McpServer& server : servers) {
        Pairs entries{{"required", "true"}, {"startup_timeout_sec", std::to_string(kMcpStartSeconds)}};
        if (server.package.empty()) {
            Pairs variables;
            for (const auto& [name, value] : server.headers) {
                variables.emplace_back(name, dump(Json(put_aside(how, value))));
            }
            entries.emplace_back("url", dump(Json(server.url)));
            entries.emplace_back("env_http_headers", table(variables));
        } else {
            const std::vector<std::string> command = mcp_command(server);
            entries.emplace_back("command", dump(Json(command[0])));
            entries.emplace_back("args", dump(Json(std::vector(command.begin() + 1, command.end()))));
        }
        how.argv.insert(how.argv.end(), {"-c", "mcp_servers." + server.name + "=" + table(entries)});
    }
}

class Codex final : public Harness {
    [[nodiscard]] const char* name() const override { return "codex"; }
    [[nodiscard]] const char* provider() const override { return "openai"; }
    [[nodiscard]] const char* program() const override { return "codex"; }
    [[nodiscard]] std::vector<const char*> own_settings() const override {
        return {".codex/auth.json", ".codex/config.toml"};
    }
    [[nodiscard]] bool holds_to_schema() const override { return true; }
    [[nodiscard]] Result<void> check(const Json& chosen) const override {
        return check_options(chosen, codex_options(), name());
    }
    [[nodiscard]] std::unique_ptr<Transcript> transcript() const override {
        return std::make_unique<CodexTranscript>();
    }

    [[nodiscard]] Invocation invoke(const AgentRecord& agent, const Prompt& prompt,
                                    const ModelAccess* access) const override {
        Invocation how;
        how.argv = {"codex", "exec"};
        if (!prompt.session.empty()) how.argv.insert(how.argv.end(), {"resume", prompt.session});
        // The box is the sandbox.
        how.argv.insert(how.argv.end(),
                        {"--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m",
                         split_model(prompt.model).name});
        const auto set = [&how](const std::string& key, const Json& value) {
            how.argv.insert(how.argv.end(), {"-c", key + "=" + dump(value)});
        };
        if (access != nullptr) {
            set("model_provider", "hutch");
            set("model_providers.hutch.name", "hutch");
            set("model_providers.hutch.base_url", access->base_url + "/v1");
            set("model_providers.hutch.env_key", "HUTCH_MODEL_TOKEN");
            set("model_providers.hutch.wire_api", "responses");
            set("model_providers.hutch.request_max_retries", 0);  // its tries multiply
            set("model_providers.hutch.stream_max_retries", kCodexRetries);
            how.env.emplace_back("HUTCH_MODEL_TOKEN", access->token);
        }
        for (const auto& [name, value] : prompt.options.items()) {
            if (name == "web_search") {
                set("tools.web_search", !value.is_boolean() || value.get<bool>());
            } else {
                set(name, value);
            }
        }
        add_servers_to_codex(how, mcp_servers_of(agent));
        if (!prompt.schema.is_null()) {
            how.files.emplace_back(kSchemaFile, dump(prompt.schema));
            how.argv.insert(how.argv.end(), {"--output-schema", kSchemaFile});
        }
        how.argv.emplace_back("-");
        how.input = file_instruction(prompt.files) + prompt.text;
        return how;
    }
};

}  // namespace

const Harness& codex() {
    static const Codex kCodex;
    return kCodex;
}

}  // namespace hutch::daemon
