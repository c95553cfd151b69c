#pragma once

#include <string>
#include <vector>

#include "daemon/agent/harness.h"

namespace hutch::daemon {

/// A server of the Model Context Protocol: tools that an agent has besides its own.
struct McpServer {
    std::string name;               ///< letters, digits, - and _
    std::string package;            ///< of npm, which npx runs in the box; empty: it is somewhere else
    std::vector<std::string> args;  ///< of the package's program
    std::string url;                ///< where it is, over HTTP
    Pairs headers;                  ///< of each request to it; secrets
};

/// As a client says it, and as it is kept.
Json to_json(const std::vector<McpServer>& servers);
std::vector<McpServer> mcp_servers_of(const AgentRecord& agent);

/// The first use of a package downloads it.
constexpr int kMcpStartSeconds = 60;

/// What starts it in the box; for one that has a package.
std::vector<std::string> mcp_command(const McpServer& server);
/// Makes it a variable of the agent's process, where neither a file nor the list of processes shows it. The variable's
/// name.
std::string put_aside(Invocation& how, const std::string& secret);

}  // namespace hutch::daemon
