#include "daemon/wire/oci_layout.h"

#include <algorithm>
#include <cstring>

#include "daemon/wire/json.h"

namespace hutch::daemon::oci {
namespace {

constexpr size_t kMostTag = 128;
constexpr size_t kMostRepository = 200;  // of 255 with the registry's name before it

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_in_tag(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
}

}  // namespace

std::string blob_path(std::string_view digest) {
    std::string path = "blobs/" + std::string(digest);
    std::replace(path.begin(), path.end(), ':', '/');
    return path;
}

std::string docker_manifest(const std::string& config, const std::string& name,
                            const std::vector<std::string>& layers) {
    Json image = Json::object();
    image["Config"] = config;
    image["RepoTags"] = Json::array();
    image["RepoTags"].push_back(name);
    image["Layers"] = layers;
    Json list = Json::array();
    list.push_back(std::move(image));
    return daemon::dump(list);
}

std::string repository_name(std::string_view name) {
    std::string made;
    char separator = 0;
    for (const char given : name.substr(0, kMostRepository)) {
        const char c = given >= 'A' && given <= 'Z' ? static_cast<char>(given - 'A' + 'a') : given;
        if (!is_lower_or_digit(c)) {
            separator = separator == 0 && (c == '.' || c == '_' || c == '/') ? c : '-';
            continue;
        }
        if (separator != 0 && !made.empty()) made += separator;
        separator = 0;
        made += c;
    }
    return made.empty() ? "image" : made;
}

std::string reference_name(std::string_view name) {
    name = name.substr(0, name.find('@'));
    const size_t slash = name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/');
    const size_t colon = name.find(':', slash);
    const std::string_view path = name.substr(0, colon);
    const bool is_path = slash != 0 && std::all_of(path.begin(), path.end(), [](char c) {
                             return is_lower_or_digit(c) || (c != '\0' && std::strchr("._-/:", c) != nullptr);
                         });
    const std::string tag = colon == std::string_view::npos ? "latest" : tag_name(name.substr(colon + 1));
    return (is_path ? std::string(path) : repository_name(path)) + ":" + tag;
}

std::string containerd_name(std::string_view reference) {
    const size_t slash = reference.find('/');
    if (slash == std::string_view::npos) return "docker.io/library/" + std::string(reference);
    const std::string_view first = reference.substr(0, slash);
    const bool is_host = first.find_first_of(".:") != std::string_view::npos || first == "localhost";
    return (is_host ? "" : "docker.io/") + std::string(reference);
}

std::string tag_name(std::string_view name) {
    std::string made;
    for (const char c : name.substr(0, kMostTag)) made += is_in_tag(c) ? c : '-';
    const size_t begin = std::min(made.find_first_not_of(".-"), made.size());
    return begin == made.size() ? "latest" : made.substr(begin);
}

}  // namespace hutch::daemon::oci
