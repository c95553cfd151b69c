#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/store/records.h"
#include "daemon/wire/transcript.h"

namespace hutch::daemon {

/// What somebody asks an agent to do.
struct Prompt {
    std::string text;
    std::string model;               ///< as it is configured, with its provider: "anthropic/claude-sonnet-4-5"
    std::string session;             ///< to go on with; empty for a new one
    Json schema;                     ///< JSON Schema of the answer; null for none
    Json options = Json::object();   ///< checked: see Harness::check
    std::vector<std::string> files;  ///< their paths in the box
};

/// Where a model answers, and what to say there: a base URL and a token that is good for this run alone.
struct ModelAccess {
    std::string base_url;  ///< without a slash at its end
    std::string token;
};

/// How a program is told of a prompt.
struct Invocation {
    std::vector<std::string> argv;
    Pairs env;
    std::string input;  ///< for its standard input
    Pairs files;        ///< written before it starts: path, and what is in it; boxuser's, readable by it alone
};

/// The provider and the model's own name: "anthropic/claude-x" is anthropic and claude-x.
struct ModelName {
    std::string provider;
    std::string name;
};
ModelName split_model(const std::string& model);
/// The agent goes on with that model. A key is told to no provider but its own.
void use_model(AgentRecord& agent, const std::string& model);
/// kInvalid, with the name to say instead, for a model that does not name its provider. `harness`: whose it is to be;
/// one of the customer's own may call its model as it likes.
Result<void> check_model(const std::string& harness, const std::string& model);

/// A coding agent's program: how it is started, and how what it writes is read. One file each; docs/agents.md tells how
/// to add one.
class Harness {
  public:
    virtual ~Harness() = default;

    /// As the API calls it: "claude-code".
    [[nodiscard]] virtual const char* name() const = 0;
    /// Whose API it speaks where the model does not say; empty for one that brings its own.
    [[nodiscard]] virtual const char* provider() const = 0;
    /// What an image must have; empty for one's own, which the call that configures it names.
    [[nodiscard]] virtual const char* program() const = 0;
    /// Files of its user's home in which it may have been told a key, or another way to a model, by hand.
    [[nodiscard]] virtual std::vector<const char*> own_settings() const = 0;
    /// It holds its answer to a schema itself; one that does not is asked for it, and its answer is checked.
    [[nodiscard]] virtual bool holds_to_schema() const = 0;
    /// kInvalid, naming the option, for one that it does not have or whose value it cannot take.
    [[nodiscard]] virtual Result<void> check(const Json& options) const = 0;
    /// `access` is null for one that brings its own.
    [[nodiscard]] virtual Invocation invoke(const AgentRecord& agent, const Prompt& prompt,
                                            const ModelAccess* access) const = 0;
    [[nodiscard]] virtual std::unique_ptr<Transcript> transcript() const = 0;
};

/// kInvalid, naming those there are; kUnsupported for one whose program cannot be had.
Result<const Harness*> find_harness(const std::string& name);

// One file each.
const Harness& claude_code();
const Harness& codex();
const Harness& opencode();
const Harness& custom_harness();

/// What an option may hold.
struct Option {
    enum class Kind { kText, kNumber, kWholeNumber, kBoolean, kTexts, kObject, kTextOrBoolean };
    const char* name;
    Kind kind;
    std::vector<std::string> choices{};  ///< of a text; none: any
};
/// kInvalid, "agent_options.NAME: ...", for what is not in the table or does not fit.
Result<void> check_options(const Json& options, const std::vector<Option>& table, const char* harness);

/// Told after the prompt to one that has no way of its own to hold an answer to a schema.
std::string schema_instruction(const Json& schema);
/// Told before the prompt, where files came with it.
std::string file_instruction(const std::vector<std::string>& files);

}  // namespace hutch::daemon
