#include <cstdlib>

#include "client/format.h"
#include "client/program.h"

namespace hutch::client {
namespace {

constexpr const char* kTarget = "/v2/box/settings/env";

struct EnvOptions {
    std::vector<std::string> variables;
    bool json = false;
};

// NAME=VALUE, or NAME alone for one of our own environment: so that a secret stands in no list of processes.
Result<std::pair<std::string, std::string>> part(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals != std::string::npos) return std::pair(text.substr(0, equals), text.substr(equals + 1));
    const char* own = getenv(text.c_str());
    if (own == nullptr) return invalid("VARIABLE: \"" + text + "\" is neither NAME=VALUE nor in the environment");
    return std::pair(text, std::string(own));
}

Result<int> set(const Program& program, const EnvOptions& options) {
    std::vector<std::pair<std::string, std::string>> variables;
    for (const std::string& text : options.variables) variables.push_back(TRY(part(text)));
    const Api api = TRY(program.api());
    for (const auto& [name, value] : variables) {
        TRY(api.call("PUT", std::string(kTarget) + "/" + percent_encode(name), {{"value", value}}));
    }
    return 0;
}

Result<int> unset(const Program& program, const EnvOptions& options) {
    const Api api = TRY(program.api());
    for (const std::string& name : options.variables) {
        TRY(api.call("DELETE", std::string(kTarget) + "/" + percent_encode(name)));
    }
    return 0;
}

Result<int> list(const Program& program, const EnvOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(kTarget));
    const Json variables = answer.is_object() ? answer.value("env_vars", Json::object()) : Json::object();
    if (options.json) return show_json(variables);
    std::string lines;
    for (const auto& [name, value] : variables.items()) {
        lines += printable(name + "=" + text_of(variables, name.c_str())) + "\n";
    }
    return show(lines);
}

}  // namespace

void add_env_commands(CLI::App& app, Program& program) {
    CLI::App* env = add_command(
        app, "env",
        "Environment variables for all boxes\n\nThey are there for every command that begins from then on;\n"
        "a box's own (`hutch create --env`) win over them.",
        "hutch env set API_URL=https://example.com");
    env->require_subcommand(1);
    const auto options = std::make_shared<EnvOptions>();

    CLI::App* command = add_command(*env, "ls", "List them; their values are not shown", "hutch env ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list);

    command = add_command(*env, "set", "Set variables", "hutch env set API_URL=https://example.com TOKEN");
    command->add_option("VARIABLE", options->variables, "NAME=VALUE; or NAME, of hutch's own environment")->required();
    run_on(command, program, options, set);

    command = add_command(*env, "unset", "Take variables away", "hutch env unset TOKEN");
    command->add_option("NAME", options->variables, "Those to take away")->required();
    run_on(command, program, options, unset);
}

}  // namespace hutch::client
