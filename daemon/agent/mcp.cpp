#include "daemon/agent/mcp.h"

namespace hutch::daemon {

Json to_json(const std::vector<McpServer>& servers) {
    Json list = Json::array();
    for (const McpServer& server : servers) {
        const bool npm = !server.package.empty();
        Json json{{"name", server.name}, {"source", npm ? "npm" : "url"}};
        json["package_or_url"] = npm ? server.package : server.url;
        if (!server.args.empty()) json["args"] = server.args;
        for (const auto& [name, value] : server.headers) json["headers"][name] = value;
        list.push_back(std::move(json));
    }
    return list;
}

std::vector<McpServer> mcp_servers_of(const AgentRecord& agent) {
    std::vector<McpServer> servers;
    if (agent.mcp_servers.empty()) return servers;
    const auto kept = parse_json(agent.mcp_servers);
    for (const Json& json : kept.ok() && kept.value().is_array() ? kept.value() : Json::array()) {
        McpServer server;
        server.name = text_at(json, "name");
        const bool npm = text_at(json, "source") == "npm";
        (npm ? server.package : server.url) = text_at(json, "package_or_url");
        for (const Json& argument : array_at(json, "args")) {
            if (argument.is_string()) server.args.push_back(argument.get<std::string>());
        }
        for (const auto& [name, value] : object_at(json, "headers").items()) {
            if (value.is_string()) server.headers.emplace_back(name, value.get<std::string>());
        }
        servers.push_back(std::move(server));
    }
    return servers;
}

std::vector<std::string> mcp_command(const McpServer& server) {
    std::vector<std::string> command{"npx", "-y", server.package};
    command.insert(command.end(), server.args.begin(), server.args.end());
    return command;
}

std::string put_aside(Invocation& how, const std::string& secret) {
    std::string name = "HUTCH_MCP_" + std::to_string(how.env.size());
    how.env.emplace_back(name, secret);
    return name;
}

}  // namespace hutch::daemon
