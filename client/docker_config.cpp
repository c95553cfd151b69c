#include "client/docker_config.h"

#include <fcntl.h>

#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace hutch::client {
namespace {

constexpr size_t kMostConfig = 1 << 20;  // bytes

std::string config_path() {
    const char* directory = std::getenv("DOCKER_CONFIG");
    if (directory != nullptr && *directory != '\0') return std::string(directory) + "/config.json";
    const char* home = std::getenv("HOME");
    return home == nullptr ? "" : std::string(home) + "/.docker/config.json";
}

/// Nothing for what is no base64.
std::optional<std::string> from_base64(std::string_view text) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    uint32_t held = 0;
    unsigned bits = 0;
    for (const char c : text) {
        if (c == '=') break;
        const size_t digit = kDigits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        held = (held << 6U) | static_cast<uint32_t>(digit);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        bytes += static_cast<char>((held >> bits) & 0xffU);
    }
    return bytes;
}

/// The host of a key in the file, which may be a whole address.
std::string host_of_key(std::string_view key) {
    if (is_web_address(key)) key.remove_prefix(key.find("://") + 3);
    std::string host = lower(key.substr(0, key.find('/')));
    return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

Result<std::optional<Json>> login_of(const Json& entry, const std::string& path) {
    Json login = Json::object();
    if (const std::string identity = text_of(entry, "identitytoken"); !identity.empty()) {
        login["identity_token"] = identity;
        return std::optional(login);
    }
    std::string user = text_of(entry, "username");
    std::string password = text_of(entry, "password");
    if (const std::string packed = text_of(entry, "auth"); !packed.empty()) {
        const auto both = from_base64(packed);
        const size_t colon = both ? both->find(':') : std::string::npos;
        if (colon == std::string::npos) return invalid(path + ": an \"auth\" in it is not USER:PASSWORD in base64");
        user = both->substr(0, colon);
        password = both->substr(colon + 1);
    }
    if (password.empty()) return std::optional<Json>();
    login["username"] = user;
    login["password"] = password;
    return std::optional(login);
}

}  // namespace

std::string registry_of(const std::string& reference) {
    const size_t slash = reference.find('/');
    if (slash == std::string::npos) return "";
    const std::string first = reference.substr(0, slash);
    const bool host = first == "localhost" || first.find_first_of(".:") != std::string::npos;
    return host ? host_of_key(first) : "";
}

Result<std::optional<Json>> docker_login(const std::string& host) {
    const std::string path = config_path();
    if (path.empty()) return std::optional<Json>();
    const auto text = read_file_at(AT_FDCWD, path, kMostConfig);
    if (!text.ok() && (text.error().code == ENOENT || text.error().code == ENOTDIR)) return std::optional<Json>();
    if (!text.ok()) return text.error();
    const Json config = parse_json(text.value());
    if (!config.is_object()) return invalid(path + ": is no JSON object");
    const Json logins = object_of(config, "auths");
    for (const auto& [key, entry] : logins.items()) {
        if (entry.is_object() && host_of_key(key) == host) return login_of(entry, path);
    }
    return std::optional<Json>();
}

Result<void> add_docker_login(Json& body, const std::string& reference) {
    const std::string host = registry_of(reference);
    if (host.empty()) return {};
    const auto login = TRY(docker_login(host));
    if (login) body["registry_login"] = *login;
    return {};
}

}  // namespace hutch::client
