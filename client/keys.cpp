#include <unistd.h>

#include <ctime>

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

}  // namespace

void add_key_commands(CLI::App& app, Program& program) {
    CLI::App* key = add_command(app, "key",
                                "API keys, each of which is a customer\n\nA customer sees its own boxes, snapshots and "
                                "usage, and nobody else's. Only\nover the Unix socket.",
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

    command = add_command(*key, "ls", "List the customers that have a key", "hutch key ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list);
}

}  // namespace hutch::client
