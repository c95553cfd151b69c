// What an agent has besides its program: servers of tools.

#include <algorithm>

#include "base/text.h"
#include "daemon/agent/mcp.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostServers = 20;
constexpr size_t kMostServerBytes =
    64 * 1024;  // in all: it becomes one argument or variable, which Linux limits to 128 KiB

bool is_of(const std::string& text, const char* others) {
    return std::all_of(text.begin(), text.end(), [others](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view(others).find(static_cast<char>(c)) != std::string_view::npos;
    });
}

// "server", "@org/server" or either with "@version": from the registry, and no option of npx.
bool is_package(const std::string& package) {
    std::string name = package;
    if (name.starts_with("@")) {
        const size_t slash = name.find('/');
        if (slash == std::string::npos || slash == 1 || !is_of(name.substr(1, slash - 1), "-._")) return false;
        name.erase(0, slash + 1);
    }
    return !name.empty() && package.size() <= 214 && is_of(name.substr(0, 1), "") && is_of(name, "-._~@^+");
}

Result<void> check_headers(const Pairs& headers) {
    for (const auto& [name, value] : headers) {
        if (name.empty() || !is_of(name, "-_.")) return invalid("headers: \"" + name + "\" is no header's name");
        if (has_control(value)) return invalid("headers: the value of " + name + " must be one line");
    }
    return {};
}

Result<McpServer> decode_package(const Fields& fields, McpServer server, std::string package) {
    if (!is_package(package)) {
        return invalid("package_or_url: must be a package of the npm registry, such as @org/server or server@1.2.0");
    }
    if (fields.has("headers")) return invalid("headers: only a server of source url has them");
    server.package = std::move(package);
    server.args = TRY(fields.texts("args"));
    for (const std::string& argument : server.args) {
        if (has_control(argument)) return invalid("args: each must be one line");
    }
    return server;
}

Result<McpServer> decode_remote(const Fields& fields, McpServer server, std::string url) {
    if (!is_web_address(url) || has_control(url) || url.find(' ') != std::string::npos || url.size() > 2048) {
        return invalid("package_or_url: must be an http or https address");
    }
    if (fields.has("args")) return invalid("args: only a server of source npm has them");
    server.url = std::move(url);
    server.headers = TRY(fields.pairs("headers"));
    TRY(check_headers(server.headers));
    return server;
}

Result<McpServer> decode_server(const Fields& fields) {
    McpServer server;
    server.name = TRY(fields.required_text("name"));
    if (server.name.empty() || server.name.size() > 64 || !is_of(server.name, "-_")) {
        return invalid("name: must be 1 to 64 letters, digits, - or _");
    }
    const std::string source = TRY(fields.required_text("source"));
    std::string where = TRY(fields.required_text("package_or_url"));
    if (source == "npm") return decode_package(fields, std::move(server), std::move(where));
    if (source == "url") return decode_remote(fields, std::move(server), std::move(where));
    return invalid("source: must be npm or url");
}

}  // namespace

Result<std::optional<std::string>> decode_mcp_servers(const Fields& fields) {
    if (!fields.has("mcp_servers")) return std::optional<std::string>();
    const std::vector<Fields> given = TRY(fields.objects("mcp_servers"));
    if (given.size() > kMostServers) return invalid("mcp_servers: at most 20");
    std::vector<McpServer> servers;
    for (size_t i = 0; i < given.size(); ++i) {
        const std::string field = "mcp_servers[" + std::to_string(i) + "]";
        McpServer server = TRY_IN(field, decode_server(given[i]));
        for (const McpServer& other : servers) {
            if (other.name == server.name) return invalid(field + ": name: another is named " + server.name);
        }
        servers.push_back(std::move(server));
    }
    std::string text = servers.empty() ? "" : dump(to_json(servers));
    if (text.size() > kMostServerBytes) return invalid("mcp_servers: at most 64 KiB in all");
    return std::optional(std::move(text));
}

}  // namespace hutch::daemon
