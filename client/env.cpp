#include "client/format.h"
#include "client/program.h"
#include "client/settings.h"

namespace hutch::client {
namespace {

constexpr const char* kTarget = "/v2/box/settings/env";

struct EnvOptions {
    std::vector<std::string> variables;
    bool json = false;
};

// All of them or none: one call.
Result<int> change_variables(const Program& program, const Json& what) {
    const Api api = TRY(program.api());
    TRY(api.call("PATCH", kTarget, what));
    return 0;
}

// NAME alone is one of our own environment: so that a secret stands in no list of processes.
Result<int> set(const Program& program, const EnvOptions& options) {
    return change_variables(program, {{"env_vars", TRY(variables_of("VARIABLE", options.variables))}});
}

Result<int> unset(const Program& program, const EnvOptions& options) {
    return change_variables(program, {{"unset", options.variables}});
}

Result<int> list_variables(const Program& program, const EnvOptions& options) {
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
    run_on(command, program, options, list_variables);

    command = add_command(*env, "set", "Set variables, all of them or none",
                          "hutch env set API_URL=https://example.com TOKEN");
    command->add_option("VARIABLE", options->variables, "NAME=VALUE; or NAME, of hutch's own environment")->required();
    run_on(command, program, options, set);

    command = add_command(*env, "unset", "Take variables away, all of them or none", "hutch env unset TOKEN");
    command->add_option("NAME", options->variables, "Those to take away")->required();
    run_on(command, program, options, unset);
}

}  // namespace hutch::client
