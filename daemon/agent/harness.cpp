#include "daemon/agent/harness.h"

#include <algorithm>

namespace hutch::daemon {
namespace {

bool fits(const Json& value, Option::Kind kind) {
    switch (kind) {
        case Option::Kind::kText:
            return value.is_string();
        case Option::Kind::kNumber:
            return value.is_number();
        case Option::Kind::kWholeNumber:
            return whole_number(value).has_value();
        case Option::Kind::kBoolean:
            return value.is_boolean();
        case Option::Kind::kTexts:
            return value.is_array() &&
                   std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
        case Option::Kind::kObject:
            return value.is_object();
        case Option::Kind::kTextOrBoolean:
            return value.is_string() || value.is_boolean();
    }
    return false;
}

const char* told(Option::Kind kind) {
    switch (kind) {
        case Option::Kind::kText:
            return "a text";
        case Option::Kind::kNumber:
            return "a number";
        case Option::Kind::kWholeNumber:
            return "a whole number";
        case Option::Kind::kBoolean:
            return "true or false";
        case Option::Kind::kTexts:
            return "an array of texts";
        case Option::Kind::kObject:
            return "an object";
        case Option::Kind::kTextOrBoolean:
            return "a text, true or false";
    }
    return "something else";
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
    return all;
}

}  // namespace

ModelName split_model(const std::string& model) {
    const size_t slash = model.find('/');
    if (slash == std::string::npos) return {"", model};
    ModelName name{model.substr(0, slash), model.substr(slash + 1)};
    if (name.provider == "claude") {  // as clients before 0.1.36 say it: claude/sonnet_4_5
        std::replace(name.name.begin(), name.name.end(), '_', '-');
        return {"anthropic", "claude-" + name.name};
    }
    return name;
}

namespace {

// Whose a model is that is called by its own name alone; empty where that does not tell.
std::string provider_of(const std::string& harness, const std::string& name) {
    for (const char* word : {"claude", "sonnet", "opus", "haiku"}) {
        if (name.starts_with(word)) return "anthropic";
    }
    for (const char* word : {"gpt", "chatgpt", "codex", "o1", "o3", "o4"}) {
        if (name.starts_with(word)) return "openai";
    }
    const auto found = find_harness(harness);
    return found.ok() ? found.value()->provider() : "";
}

}  // namespace

void use_model(AgentRecord& agent, const std::string& model) {
    if (split_model(model).provider != split_model(agent.model).provider) agent.api_key.clear();
    agent.model = model;
}

Result<void> check_model(const std::string& harness, const std::string& model) {
    if (harness == custom_harness().name()) return {};
    const ModelName named = split_model(model);
    if (named.name.empty()) return invalid("model: \"" + model + "\" names no model; say PROVIDER/MODEL");
    if (!named.provider.empty()) return {};
    const std::string provider = provider_of(harness, named.name);
    const std::string advice = provider.empty() ? "PROVIDER/" + named.name + ", such as openrouter/" + named.name
                                                : provider + "/" + named.name;
    return invalid("model: \"" + model + "\" does not name its provider; say " + advice);
}

Result<const Harness*> find_harness(const std::string& name) {
    static const Harness* const kAll[] = {&claude_code(), &codex(), &opencode(), &custom_harness()};
    for (const Harness* harness : kAll) {
        if (name == harness->name()) return harness;
    }
    if (name == "cursor") {
        return Error{
            ErrorKind::kUnsupported, 0,
            "agent: cursor's program cannot be installed from a public registry; this version of hutchd has no "
            "adapter for it"};
    }
    return invalid("agent: \"" + name + "\" is not one of claude-code, codex, opencode, custom");
}

Result<void> check_options(const Json& options, const std::vector<Option>& table, const char* harness) {
    for (const auto& [name, value] : options.items()) {
        const auto found = std::find_if(table.begin(), table.end(),
                                        [&name = name](const Option& option) { return name == option.name; });
        const std::string field = "agent_options." + name + ": ";
        if (found == table.end()) return invalid(field + harness + " has no such option");
        if (!fits(value, found->kind)) return invalid(field + "must be " + told(found->kind));
        if (!found->choices.empty() && value.is_string() &&
            std::find(found->choices.begin(), found->choices.end(), value.get<std::string>()) == found->choices.end()) {
            return invalid(field + "must be one of " + joined(found->choices));
        }
    }
    return {};
}

std::string schema_instruction(const Json& schema) {
    return "\n\nAnswer with one JSON value and nothing else: no words around it, no code fence. It must be valid by "
           "this "
           "JSON Schema:\n" +
           dump(schema);
}

std::string file_instruction(const std::vector<std::string>& files) {
    if (files.empty()) return "";
    std::string told = "These files come with the request; read them where they matter:\n";
    for (const std::string& file : files) told += file + "\n";
    return told + "\n";
}

}  // namespace hutch::daemon
