#pragma once

#include "client/program.h"

namespace hutch::client {

/// The options that say what a box may talk to.
struct NetworkOptions {
    std::string mode;                      ///< empty: none was named
    std::vector<std::string> allow, deny;  ///< networks; of `allow` also names
};

/// --allow and --deny, for a mode that is asked for elsewhere.
void add_networks(CLI::App& command, NetworkOptions& options);
/// The modes, for shell completion and for who names another.
CLI::Option* check_mode(CLI::Option* mode);
/// The policy of the API. kInvalid for --allow or --deny without the mode custom.
Result<Json> network_policy(const NetworkOptions& options);
/// What it was refused, and why: commands of `network`.
void add_refusal_commands(CLI::App& network, Program& program);
/// Of the API's object, as one line.
std::string describe_network(const Json& policy);

}  // namespace hutch::client
