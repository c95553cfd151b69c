// Claude Code: `claude -p` with its stream of JSON lines.

#include "daemon/agent/mcp.h"

namespace hutch::daemon {
namespace {

using Kind = Option::Kind;

// Of a call that fails, each after twice the time: little more than a minute, which is what the other programs take.
constexpr const char* kClaudeRetries = "7";

const std::vector<Option>& claude_options() {
    static const std::vector<Option> kOptions = {
        {"maxTurns", Kind::kWholeNumber},
        {"maxBudgetUsd", Kind::kNumber},
        {"effort", Kind::kText, {"low", "medium", "high", "max"}},
        {"thinking", Kind::kObject},
        {"disallowedTools", Kind::kTexts},
        {"agents", Kind::kObject},
        {"promptSuggestions", Kind::kBoolean},
        {"fallbackModel", Kind::kText},
        {"systemPrompt", Kind::kText},
    };
    return kOptions;
}

std::string text_of(const Json& content) {
    if (content.is_string()) return content.get<std::string>();
    std::string text;
    if (!content.is_array()) return text;
    for (const Json& part : content) {
        if (part.is_object()) text += text_at(part, "text");
    }
    return text;
}

// What it lists of an end without an answer: ": one; another".
std::string errors_of(const Json& message) {
    std::string all;
    const auto errors = message.find("errors");
    if (errors == message.end() || !errors->is_array()) return all;
    for (const Json& error : *errors) {
        if (error.is_string()) all += (all.empty() ? ": " : "; ") + error.get<std::string>();
    }
    return all;
}

class ClaudeTranscript final : public Transcript {
    void read(std::string_view line, const Take& take) override {
        const auto message = object_of(line);
        if (!message) return note_plain(line);
        const std::string type = text_at(*message, "type");
        if (type == "system") {
            if (text_at(*message, "subtype") == "init") result_.session = text_at(*message, "session_id");
        } else if (type == "stream_event") {
            tell_part(object_at(*message, "event"), take);
        } else if (type == "assistant") {
            tell_message(object_at(*message, "message"), take);
        } else if (type == "user") {
            tell_results(object_at(*message, "message"), take);
        } else if (type == "result") {
            note_end(*message);
        }
    }

    // As it is generated; the whole message that follows repeats it.
    void tell_part(const Json& event, const Take& take) {
        const std::string type = text_at(event, "type");
        if (type == "message_start") in_parts_ = false;
        if (type != "content_block_delta") return;
        const Json& delta = object_at(event, "delta");
        const std::string text = text_at(delta, "text");
        const std::string thinking = text_at(delta, "thinking");
        if (!text.empty()) take({"text", {{"text", text}}});
        if (!thinking.empty()) take({"thinking", {{"text", thinking}}});
        in_parts_ = in_parts_ || !text.empty() || !thinking.empty();
    }

    void tell_message(const Json& message, const Take& take) {
        const auto content = message.find("content");
        if (content == message.end() || !content->is_array()) return;
        for (const Json& block : *content) {
            if (!block.is_object()) continue;
            const std::string type = text_at(block, "type");
            if (type == "tool_use") {
                take({"tool",
                      {{"toolCallId", text_at(block, "id")},
                       {"name", text_at(block, "name")},
                       {"input", object_at(block, "input")}}});
            } else if (type == "text" && !in_parts_) {
                take({"text", {{"text", text_at(block, "text")}}});
            } else if (type == "thinking" && !in_parts_) {
                take({"thinking", {{"text", text_at(block, "thinking")}}});
            }
        }
    }

    static void tell_results(const Json& message, const Take& take) {
        const auto content = message.find("content");
        if (content == message.end() || !content->is_array()) return;
        for (const Json& block : *content) {
            if (!block.is_object() || text_at(block, "type") != "tool_result") continue;
            const auto output = block.find("content");
            take({"tool_result",
                  {{"toolCallId", text_at(block, "tool_use_id")},
                   {"output", output == block.end() ? "" : text_of(*output)}}});
        }
    }

    void note_end(const Json& message) {
        const Json& usage = object_at(message, "usage");
        result_.finished = true;
        result_.output = text_at(message, "result");
        const auto structured = message.find("structured_output");
        if (structured != message.end() && !structured->is_null()) result_.output = dump(*structured);
        result_.session = text_at(message, "session_id");
        result_.cached_input_tokens = count_at(usage, "cache_read_input_tokens");
        result_.input_tokens = count_at(usage, "input_tokens") + count_at(usage, "cache_creation_input_tokens") +
                               result_.cached_input_tokens;
        result_.output_tokens = count_at(usage, "output_tokens");
        result_.cost_usd = amount_at(message, "total_cost_usd");
        result_.cost_of_session = true;
        if (flag_at(message, "is_error")) {
            const std::string subtype = text_at(message, "subtype");
            result_.error = result_.output.empty() ? "claude-code: " + subtype + errors_of(message) : result_.output;
        }
    }

    bool in_parts_ = false;  ///< what of the present message has been told
};

void add_options(Invocation& how, const Json& chosen) {
    const auto add = [&how](const char* flag, const std::string& value) {
        how.argv.insert(how.argv.end(), {flag, value});
    };
    for (const auto& [name, value] : chosen.items()) {
        if (name == "maxTurns") add("--max-turns", std::to_string(whole_number(value).value_or(0)));
        if (name == "maxBudgetUsd") add("--max-budget-usd", dump(value));
        if (name == "effort") add("--effort", value.get<std::string>());
        if (name == "fallbackModel") add("--fallback-model", split_model(value.get<std::string>()).name);
        if (name == "systemPrompt") add("--append-system-prompt", value.get<std::string>());
        if (name == "agents") add("--agents", dump(value));
        if (name == "disallowedTools") {
            std::string tools;
            for (const Json& tool : value) tools += (tools.empty() ? "" : ",") + tool.get<std::string>();
            add("--disallowedTools", tools);
        }
        if (name == "thinking") {
            const bool disabled = text_at(value, "type") == "disabled";
            const int64_t budget = disabled ? 0 : count_at(value, "budgetTokens");
            if (disabled || budget > 0) how.env.emplace_back("MAX_THINKING_TOKENS", std::to_string(budget));
        }
    }
}

// Not with --strict-mcp-config: those that the box itself configures are there too. What could be a secret, or would be
// taken for a variable, is a variable.
void add_servers_to_claude(Invocation& how, const std::vector<McpServer>& servers) {
    if (servers.empty()) return;
    Json config;
    for (const McpServer& server : servers) {
        Json& entry = config["mcpServers"][server.name];
        if (server.package.empty()) {
            entry = {{"type", "http"}, {"url", server.url}};
            for (const auto& [name, value] : server.headers) {
                entry["headers"][name] = "${" + put_aside(how, value) + "}";
            }
            continue;
        }
        std::vector<std::string> command = mcp_command(server);
        for (std::string& word : command) {
            if (word.find("${") != std::string::npos) word = "${" + put_aside(how, word) + "}";
        }
        entry = {{"command", command[0]}, {"args", Json(std::vector(command.begin() + 1, command.end()))}};
    }
    how.argv.insert(how.argv.end(), {"--mcp-config", dump(config)});
    how.env.emplace_back("MCP_TIMEOUT", std::to_string(kMcpStartSeconds * 1000));
}

class Claude final : public Harness {
    [[nodiscard]] const char* name() const override { return "claude-code"; }
    [[nodiscard]] const char* provider() const override { return "anthropic"; }
    [[nodiscard]] const char* program() const override { return "claude"; }
    [[nodiscard]] std::vector<const char*> own_settings() const override {
        return {".claude/.credentials.json", ".claude/settings.json"};
    }
    [[nodiscard]] bool holds_to_schema() const override { return true; }
    [[nodiscard]] Result<void> check(const Json& chosen) const override {
        return check_options(chosen, claude_options(), name());
    }
    [[nodiscard]] std::unique_ptr<Transcript> transcript() const override {
        return std::make_unique<ClaudeTranscript>();
    }

    [[nodiscard]] Invocation invoke(const AgentRecord& agent, const Prompt& prompt,
                                    const ModelAccess* access) const override {
        Invocation how;
        // The box is the sandbox: what it may not do, its walls keep it from.
        how.argv = {"claude",
                    "-p",
                    "--output-format",
                    "stream-json",
                    "--verbose",
                    "--include-partial-messages",
                    "--dangerously-skip-permissions",
                    "--model",
                    split_model(prompt.model).name};
        how.input = file_instruction(prompt.files) + prompt.text;
        how.env = {
            {"IS_SANDBOX", "1"}, {"DISABLE_AUTOUPDATER", "1"}, {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"}};
        if (access != nullptr) {
            how.env.emplace_back("ANTHROPIC_BASE_URL", access->base_url);
            how.env.emplace_back("ANTHROPIC_API_KEY", access->token);
        }
        if (!prompt.session.empty()) how.argv.insert(how.argv.end(), {"--resume", prompt.session});
        if (!prompt.schema.is_null()) how.argv.insert(how.argv.end(), {"--json-schema", dump(prompt.schema)});
        add_options(how, prompt.options);
        add_servers_to_claude(how, mcp_servers_of(agent));
        how.env.emplace_back("CLAUDE_CODE_MAX_RETRIES", kClaudeRetries);
        return how;
    }
};

}  // namespace

const Harness& claude_code() {
    static const Claude kClaude;
    return kClaude;
}

}  // namespace hutch::daemon
