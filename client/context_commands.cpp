#include <unistd.h>

#include "base/ids.h"
#include "client/contexts.h"
#include "client/format.h"
#include "client/host.h"
#include "client/program.h"
#include "client/table.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

struct ContextOptions {
    std::string name, host, ca_file;
    bool json = false;
};

Result<int> list(const Program&, const ContextOptions& options) {
    const Contexts contexts = TRY(Contexts::load());
    std::vector<std::string> names{Contexts::kDefault};
    for (const auto& [name, context] : contexts.all) names.push_back(name);
    Table table({"CURRENT", "NAME", "HOST", "KEY"});
    Json rows = Json::array();
    for (const std::string& name : names) {
        const Context context = TRY(contexts.find(name));
        const bool current = name == contexts.current;
        const std::string key = context.api_key.empty() ? "" : "yes";
        table.add({Cell(current ? "*" : "", Tone::kGood), Cell(name), Cell(context.host), Cell(key)});
        rows.push_back(
            {{"name", name}, {"host", context.host}, {"current", current}, {"key", !context.api_key.empty()}});
    }
    return options.json ? show_json(rows) : show(table.text(colour_for(STDOUT_FILENO)));
}

// The key is read, not said: words of a command are seen by all of the host's users, and kept by the shell.
Result<std::string> read_key(const ContextOptions& options) {
    const std::string own = environment("HUTCH_API_KEY");
    if (!own.empty()) return own;
    const std::string key = TRY(read_secret("key for " + options.host + ": "));
    if (key.empty()) return invalid("the key: nothing came on standard input");
    return key;
}

Result<int> add(const Program&, const ContextOptions& options) {
    if (!is_safe_id(options.name))
        return invalid("NAME: \"" + options.name + "\" must be small letters, digits and '-'");
    Contexts contexts = TRY(Contexts::load());
    if (options.name == Contexts::kDefault || contexts.all.contains(options.name)) {
        return invalid("NAME: there is a context \"" + options.name + "\" already; `hutch context rm` takes one away");
    }
    const Host host = TRY(parse_host(options.host));
    const bool remote = host.kind == Host::Kind::kTcp;
    contexts.all[options.name] = {options.host, remote ? TRY(read_key(options)) : "", options.ca_file};
    TRY(contexts.save());
    return 0;
}

Result<int> use(const Program&, const ContextOptions& options) {
    Contexts contexts = TRY(Contexts::load());
    TRY(contexts.find(options.name));
    contexts.current = options.name;
    TRY(contexts.save());
    return 0;
}

Result<int> remove(const Program&, const ContextOptions& options) {
    Contexts contexts = TRY(Contexts::load());
    TRY(contexts.find(options.name));
    if (contexts.all.erase(options.name) == 0) return invalid("NAME: \"default\" is always there");
    if (contexts.current == options.name) contexts.current = Contexts::kDefault;
    TRY(contexts.save());
    return 0;
}

}  // namespace

void add_context_commands(CLI::App& app, Program& program) {
    CLI::App* context = add_command(app, "context",
                                    "Names for daemons on several hosts, with their keys\n\nThey are kept in "
                                    "$XDG_CONFIG_HOME/hutch/config (~/.config), which only you may read.\nWhat is said "
                                    "wins over the one in use: --host, --context, HUTCH_HOST, HUTCH_API_KEY.",
                                    "hutch context add prod https://boxes.example:8443");
    context->require_subcommand(1);
    const auto options = std::make_shared<ContextOptions>();

    CLI::App* command = add_command(*context, "ls", "List them; keys are not shown", "hutch context ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list);

    command = add_command(*context, "use", "Talk to this one from now on", "hutch context use prod");
    command->add_option("CONTEXT", options->name, "Its name; default: the daemon of this host")->required();
    run_on(command, program, options, use);

    command = add_command(*context, "add",
                          "Give a daemon a name\n\nIts key is asked for on a terminal, else read from standard input, "
                          "if\nHUTCH_API_KEY is not set.",
                          "hutch context add prod https://boxes.example:8443 < key.txt");
    command->add_option("NAME", options->name, "What to call it")->required();
    command->add_option("URL", options->host, "Where it is: https://name:port, http://address:port or unix:///path")
        ->required();
    command->add_option("--ca-file", options->ca_file, "Whose certificates to trust there; else the system's")
        ->type_name("FILE");
    run_on(command, program, options, add);

    command = add_command(*context, "rm", "Forget one, and its key", "hutch context rm prod");
    command->add_option("CONTEXT", options->name, "Its name")->required();
    run_on(command, program, options, remove);
}

}  // namespace hutch::client
