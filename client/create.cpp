#include "client/create.h"

#include "client/docker_config.h"
#include "client/format.h"
#include "client/settings.h"

namespace hutch::client {
namespace {

Result<Json> body_of(const CreateOptions& options) {
    Json body = Json::object();
    if (!options.name.empty()) body["name"] = options.name;
    if (!options.image.empty()) body["runtime"] = options.image;
    if (!options.snapshot.empty()) body["snapshot_id"] = options.snapshot;
    if (!options.size.empty()) body["size"] = options.size;
    if (!options.labels.empty()) body["labels"] = options.labels;
    if (!options.env.empty()) body["env_vars"] = TRY(variables_of("--env", options.env));
    if (!options.agent.empty()) body["agent"] = options.agent;
    if (!options.model.empty()) body["model"] = options.model;
    if (!options.agent_command.empty()) {
        const auto& words = options.agent_command;
        body["custom_runner"] = {{"command", words.front()},
                                 {"args", std::vector<std::string>(words.begin() + 1, words.end())}};
    }
    if (options.nesting) body["nesting"] = *options.nesting;
    if (options.keep_alive) body["keep_alive"] = true;
    if (!options.init_command.empty()) body["init_command"] = options.init_command;
    if (options.idle_timeout) body["idle_timeout"] = *options.idle_timeout;
    if (options.ephemeral) body["ephemeral"] = true;
    if (options.ttl) body["ttl"] = *options.ttl;
    const Json policy = TRY(network_policy(options.network));
    if (!options.network.mode.empty()) body["network_policy"] = policy;
    return body;
}

void add_agent(CLI::App& command, CreateOptions& options) {
    command.add_option("--agent", options.agent, "Its agent; else the one that fits --model")
        ->type_name("claude-code|codex|opencode|custom")
        ->check(CLI::IsMember({"claude-code", "codex", "opencode", "custom"}).description(""));
    command.add_option("--model", options.model, "The agent's model, such as anthropic/claude-sonnet-4-5")
        ->type_name("PROVIDER/MODEL");
    command.add_option("--agent-command", options.agent_command, "A word of a custom agent's command; repeated")
        ->type_name("WORD")
        ->allow_extra_args(false);
}

void add_lifetime(CLI::App& command, CreateOptions& options) {
    command.add_option("--idle-timeout", options.idle_timeout, "Pause it after that long without work; 0: never")
        ->type_name("SECONDS");
    command.add_flag("--keep-alive", options.keep_alive, "Never pause it");
    command
        .add_option("--init-command", options.init_command,
                    "Run by a shell when it starts, and by `hutch resume`; not when\nwork wakes it")
        ->type_name("COMMAND");
    CLI::Option* ephemeral = command.add_flag("--ephemeral", options.ephemeral, "Delete it when its time is over");
    command.add_option("--ttl", options.ttl, "That time, at most 3 days; with --ephemeral")
        ->type_name("SECONDS")
        ->needs(ephemeral);
}

Result<int> create(const Program& program, const CreateOptions& options) {
    const Api api = TRY(program.api());
    const Json box = TRY(create_box(api, options));
    return options.json ? show_json(box) : show(printable(name_of(box)) + "\n");
}

}  // namespace

void add_create_options(CLI::App& command, CreateOptions& options) {
    command
        .add_option("--size", options.size,
                    "small, the default: 2 CPUs, 4 GiB of memory, 5 GiB of disk;\nmedium: 4, 8, 10; large: 8, 16, 20")
        ->type_name("small|medium|large")
        ->check(CLI::IsMember({"small", "medium", "large"}).description(""));
    command.add_option("--label", options.labels, "Label to find it by; may be repeated")
        ->type_name("LABEL")
        ->allow_extra_args(false);
    command.add_option("-e,--env", options.env, "Variable for all its commands; NAME alone: as it is here")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command.add_flag("--nesting", options.nesting,
                     "Let programs in it make namespaces, so sandboxes and containers,\nof their own, where the host's "
                     "operator allows it");
    add_agent(command, options);
    add_lifetime(command, options);
    check_mode(command.add_option("--network", options.network.mode, "What it may talk to (see `hutch network`)"))
        ->type_name("MODE");
    add_networks(command, options.network);
}

Result<Json> create_box(const Api& api, const CreateOptions& options) {
    Json body = TRY(body_of(options));
    if (!options.image.empty()) TRY(add_docker_login(body, options.image));
    return api.call("POST", options.snapshot.empty() ? "/v2/box" : "/v2/box/from-snapshot", body);
}

std::string name_of(const Json& box) {
    const std::string name = text_of(box, "name");
    return name.empty() ? text_of(box, "id") : name;
}

void add_create_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<CreateOptions>();
    CLI::App* command = add_command(app, "create", "Make a box and print its name (or id, without a name)",
                                    "hutch create web --image node --size medium --env PORT=3000");
    command->add_option("NAME", options->name, "Name of the box, unique on the host");
    CLI::Option* image = command
                             ->add_option("--image", options->image,
                                          "Image to start from (see `hutch image ls`),\nor one of a registry, "
                                          "HOST/REPOSITORY:TAG; else the daemon's default")
                             ->type_name("IMAGE");
    command->add_option("--snapshot", options->snapshot, "Snapshot to start from instead, by its name or id")
        ->type_name("SNAPSHOT")
        ->excludes(image);
    add_create_options(*command, *options);
    add_json_flag(*command, options->json);
    run_on(command, program, options, create);
}

}  // namespace hutch::client
