#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/network.h"
#include "client/program.h"

namespace hutch::client {

/// What is said of a box that is to be made.
struct CreateOptions {
    std::string name, image, snapshot, size;
    std::string agent, model;
    std::vector<std::string> agent_command;
    std::vector<std::string> labels, env;
    std::string init_command;
    std::optional<unsigned> idle_timeout, ttl;
    NetworkOptions network;
    std::optional<bool> nesting;  ///< not said: as with the snapshot
    bool keep_alive = false, ephemeral = false;
    bool json = false;
};

/// The options of every command that makes a box; not its name, nor what it starts from.
void add_create_options(CLI::App& command, CreateOptions& options);
/// Makes it; the API's object, ready.
Result<Json> create_box(const Api& api, const CreateOptions& options);
/// What to call a box of the API: its name, or its id if it has none.
std::string name_of(const Json& box);

}  // namespace hutch::client
