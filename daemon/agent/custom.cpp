// A harness of the customer's own: it writes the API's events itself (protocol box-sse-v1).

#include <algorithm>
#include <cctype>

#include "daemon/agent/harness.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostWritten = 4 << 20;  // of the pieces of an answer; what its end tells is whole

// It is passed on to clients, where a line break would make more events of one.
bool is_event_name(std::string_view name) {
    constexpr size_t kLongest = 64;
    return !name.empty() && name.size() <= kLongest && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (c < 0x80 && std::isalnum(c) != 0) || c == '_' || c == '-' || c == '.' || c == ':';
    });
}

class SseTranscript final : public Transcript {
    void read(std::string_view line, const Take& take) override {
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (line.starts_with("event: ")) {
            event_ = line.substr(7);
        } else if (line.starts_with("data: ")) {
            tell(line.substr(6), take);
        } else {
            note_plain(line);
        }
    }

    void restart() override {
        event_.clear();
        written_.clear();
    }

    void tell(std::string_view text, const Take& take) {
        const auto data = object_of(text);
        const std::string event = std::exchange(event_, "");
        if (!data || !is_event_name(event)) return;
        if (event == "done" || event == "error") {
            note_end(event, *data);
        } else {
            if (event == "text" && written_.size() < kMostWritten) written_ += text_at(*data, "text");
            take({event, *data});
        }
    }

    void note_end(const std::string& event, const Json& data) {
        result_.output = text_at(data, "output");
        if (result_.output.empty()) result_.output = written_;
        result_.input_tokens = count_at(data, "input_tokens");
        result_.output_tokens = count_at(data, "output_tokens");
        result_.cached_input_tokens = count_at(data, "cached_input_tokens");
        result_.cost_usd = amount_at(data, "total_cost_usd");
        result_.session = text_at(data, "session_id");
        result_.finished = true;
        if (event == "error") result_.error = text_at(data, "error");
    }

    std::string event_, written_;
};

class Custom final : public Harness {
    [[nodiscard]] const char* name() const override { return "custom"; }
    [[nodiscard]] const char* provider() const override { return ""; }
    [[nodiscard]] const char* program() const override { return ""; }
    [[nodiscard]] std::vector<const char*> own_settings() const override { return {}; }
    [[nodiscard]] bool holds_to_schema() const override { return false; }
    [[nodiscard]] Result<void> check(const Json& options) const override { return check_options(options, {}, name()); }
    [[nodiscard]] std::unique_ptr<Transcript> transcript() const override { return std::make_unique<SseTranscript>(); }

    [[nodiscard]] Invocation invoke(const AgentRecord& agent, const Prompt& prompt,
                                    const ModelAccess* access) const override {
        Invocation how;
        how.argv = {agent.command};
        if (access != nullptr) how.env = {{"HUTCH_MODEL_URL", access->base_url}, {"HUTCH_MODEL_TOKEN", access->token}};
        how.argv.insert(how.argv.end(), agent.args.begin(), agent.args.end());
        const std::string text = file_instruction(prompt.files) + prompt.text +
                                 (prompt.schema.is_null() ? "" : schema_instruction(prompt.schema));
        how.argv.insert(how.argv.end(), {"-p", text, "--model", prompt.model, "--stream"});
        if (!prompt.session.empty()) how.argv.insert(how.argv.end(), {"--session", prompt.session});
        if (!agent.mcp_servers.empty()) how.env.emplace_back("HUTCH_MCP_SERVERS", agent.mcp_servers);
        return how;
    }
};

}  // namespace

const Harness& custom_harness() {
    static const Custom kCustom;
    return kCustom;
}

}  // namespace hutch::daemon
