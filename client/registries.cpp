#include <unistd.h>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

constexpr const char* kRegistries = "/v2/box/settings/registries";

struct RegistryOptions {
    std::string host, user;
    bool json = false;
};

// The password is read, not said: words of a command are seen by all of the host's users, and kept by the shell.
Result<int> log_in(const Program& program, const RegistryOptions& options) {
    const Api api = TRY(program.api());
    const std::string password = TRY(read_secret("password of " + options.user + " at " + options.host + ": "));
    if (password.empty()) return invalid("the password: nothing came on standard input");
    TRY(api.call("PUT", std::string(kRegistries) + "/" + percent_encode(options.host),
                 {{"username", options.user}, {"password", password}}));
    return 0;
}

Result<int> log_out(const Program& program, const RegistryOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", std::string(kRegistries) + "/" + percent_encode(options.host)));
    return 0;
}

Result<int> list_registries(const Program& program, const RegistryOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(kRegistries));
    if (options.json) return show_json(answer);
    Table table({"HOST", "USER"});
    for (const Json& login : array_of(answer, "registries"))
        table.add({text_of(login, "host"), text_of(login, "username")});
    return show(table.text(colour_for(STDOUT_FILENO)));
}

}  // namespace

void add_registry_commands(CLI::App& app, Program& program) {
    CLI::App* registry = add_command(app, "registry",
                                     "Logins at registries of images\n\nOf the customer who calls, for its pulls. They "
                                     "are kept sealed, and are in no box.",
                                     "hutch registry login registry.example.com -u alice < password.txt");
    registry->require_subcommand(1);
    const auto options = std::make_shared<RegistryOptions>();

    CLI::App* command = add_command(*registry, "login",
                                    "Log in at a registry\n\nThe password, or a token in its place, is read from "
                                    "standard input.",
                                    "hutch registry login registry.example.com -u alice < password.txt");
    command->add_option("HOST", options->host, "The registry, with its port where it needs one")->required();
    command->add_option("-u,--user", options->user, "As whom")->type_name("USER")->required();
    run_on(command, program, options, log_in);

    command = add_command(*registry, "logout", "Forget the login at a registry",
                          "hutch registry logout registry.example.com");
    command->add_option("HOST", options->host, "The registry")->required();
    run_on(command, program, options, log_out);

    command = add_command(*registry, "ls", "List the registries that there is a login at", "hutch registry ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_registries);
}

}  // namespace hutch::client
