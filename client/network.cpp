#include "client/network.h"

#include "client/format.h"

namespace hutch::client {
namespace {

struct ChangeOptions : NetworkOptions {
    std::string box;
    bool json = false;
};

// No name ends with a number.
bool is_network(const std::string& text) {
    return text.find_first_not_of("0123456789./") == std::string::npos || text.find(':') != std::string::npos;
}

// Without a mode it tells the policy there is.
Result<int> change_network(const Program& program, const ChangeOptions& options) {
    Json policy;
    if (options.mode.empty()) {
        if (!options.allow.empty() || !options.deny.empty()) TRY(network_policy(options));
        const Api api = TRY(program.api());
        policy = TRY(api.get(box_target(options.box))).value("network_policy", Json::object());
    } else {
        const Json wanted = TRY(network_policy(options));
        const Api api = TRY(program.api());
        policy = TRY(api.call("PUT", box_target(options.box, "/config/network-policy"), wanted));
        if (!options.json) return 0;
    }
    return options.json ? show_json(policy) : show(printable(describe_network(policy)) + "\n");
}

}  // namespace

void add_networks(CLI::App& command, NetworkOptions& options) {
    command
        .add_option("--allow", options.allow,
                    "With custom: talk to this network, host, or all below\na name (*.NAME), and to no other; repeated")
        ->type_name("CIDR|NAME")
        ->allow_extra_args(false);
    command.add_option("--deny", options.deny, "With custom: never talk to this network; may be repeated")
        ->type_name("CIDR")
        ->allow_extra_args(false);
}

CLI::Option* check_mode(CLI::Option* mode) {
    return mode->check(CLI::IsMember({"allow-all", "deny-all", "custom"}).description(""));
}

Result<Json> network_policy(const NetworkOptions& options) {
    if (options.mode != "custom" && (!options.allow.empty() || !options.deny.empty())) {
        return invalid("--allow and --deny are for the mode custom");
    }
    Json policy{{"mode", options.mode}};
    for (const std::string& allowed : options.allow) {
        policy[is_network(allowed) ? "allowed_cidrs" : "allowed_domains"].push_back(allowed);
    }
    if (!options.deny.empty()) policy["denied_cidrs"] = options.deny;
    return policy;
}

std::string describe_network(const Json& policy) {
    std::string line = text_of(policy, "mode");
    Json both = array_of(policy, "allowed_domains");
    for (const Json& network : array_of(policy, "allowed_cidrs")) both.push_back(network);
    const std::string allowed = joined(both, " ");
    const std::string denied = joined(array_of(policy, "denied_cidrs"), " ");
    if (!allowed.empty()) line += ", allowed: " + allowed;
    if (!denied.empty()) line += ", denied: " + denied;
    return line;
}

void add_network_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<ChangeOptions>();
    CLI::App* command = add_command(
        app, "network",
        "Say what a box may talk to, or show it, or why it does not\n\nIt holds at once, for connections that "
        "are there too. Private networks, the\n"
        "host and other boxes are closed in every mode. A box that may talk to some\n"
        "names reaches them by TCP, and looks up no others; one that may talk to some\n"
        "networks alone looks up none.",
        "hutch network web custom --allow github.com --allow '*.npmjs.org'\n"
        "  hutch network web custom --allow 151.101.0.0/16");
    command->require_subcommand(0, 1);
    add_box(*command, options->box)->required(false);
    check_mode(command->add_option("MODE", options->mode, "allow-all, deny-all or custom; none: show it"));
    add_networks(*command, *options);
    add_json_flag(*command, options->json);
    command->callback([&program, options, command] {
        if (!command->get_subcommands().empty()) return;
        program.action = [&program, options]() -> Result<int> {
            if (options->box.empty()) return invalid("say BOX, or one of log and why");
            return change_network(program, *options);
        };
    });
    add_refusal_commands(*command, program);
}

}  // namespace hutch::client
