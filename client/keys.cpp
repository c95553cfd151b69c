#include <unistd.h>

#include <ctime>
#include <iostream>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct KeyOptions {
    std::string name;
    bool json = false;
};

Result<int> add(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json key = TRY(api.call("POST", "/v2/keys", {{"name", options.name}}));
    return options.json ? show_json(key) : show(printable(text_of(key, "key")) + "\n");
}

Result<int> remove(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/keys/" + percent_encode(options.name)));
    return 0;
}

Result<int> list(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/keys"));
    if (options.json) return show_json(answer);
    Table table({"NAME", "AGE"});
    for (const Json& key : array_of(answer, "keys")) {
        table.add({text_of(key, "name"), format_duration(time(nullptr) - integer_of(key, "created_at"))});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

// The key is read, not said: words of a command are seen by all of the host's users, and kept by the shell.
Result<int> set_model_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    if (isatty(STDIN_FILENO) == 1) (void)fprintf(stderr, "key for %s: ", options.name.c_str());
    std::string key;
    std::getline(std::cin, key);
    if (key.empty()) return invalid("the key: nothing came on standard input");
    TRY(api.call("PUT", "/v2/box/settings/model-keys/" + percent_encode(options.name), {{"key", key}}));
    return 0;
}

Result<int> unset_model_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/box/settings/model-keys/" + percent_encode(options.name)));
    return 0;
}

Result<int> list_model_keys(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/box/settings/model-keys"));
    if (options.json) return show_json(answer);
    std::string lines;
    for (const Json& provider : array_of(answer, "providers")) lines += printable(provider.get<std::string>()) + "\n";
    return show(lines);
}

void add_model_key_commands(CLI::App& key, Program& program, const std::shared_ptr<KeyOptions>& options) {
    CLI::App* command =
        add_command(key, "set",
                    "Set your boxes' key for a provider of models\n\nRead from standard input. Agents use it through "
                    "the gateway, and never see it.",
                    "hutch key set anthropic < key.txt");
    command->add_option("PROVIDER", options->name, "anthropic, openai, openrouter, opencode or vercel")->required();
    run_on(command, program, options, set_model_key);

    command = add_command(key, "unset", "Forget the key for a provider of models", "hutch key unset anthropic");
    command->add_option("PROVIDER", options->name, "Its name")->required();
    run_on(command, program, options, unset_model_key);

    command = add_command(key, "models", "List the providers of models that a key is set for", "hutch key models");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_model_keys);
}

}  // namespace

void add_key_commands(CLI::App& app, Program& program) {
    CLI::App* key = add_command(app, "key",
                                "API keys, each of which is a customer, and keys of models\n\nA customer sees its own "
                                "boxes, snapshots and usage, and nobody else's; add, rm and\nls work only over the "
                                "Unix socket. set, unset and models are of the customer who calls.",
                                "hutch key add alice");
    key->require_subcommand(1);
    const auto options = std::make_shared<KeyOptions>();

    CLI::App* command =
        add_command(*key, "add", "Make a key and print it; it is shown this once", "hutch key add alice");
    command->add_option("NAME", options->name, "The customer it is for")->required();
    add_json_flag(*command, options->json);
    run_on(command, program, options, add);

    command = add_command(*key, "rm",
                          "Accept a key no more\n\nWhat is the customer's stays; a key of the same name has it again.",
                          "hutch key rm alice");
    command->add_option("NAME", options->name, "Its customer")->required();
    run_on(command, program, options, remove);

    add_model_key_commands(*key, program, options);
    command = add_command(*key, "ls", "List the customers that have a key", "hutch key ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list);
}

}  // namespace hutch::client
