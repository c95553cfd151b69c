#include "daemon/wire/oci.h"

#include <algorithm>

namespace hutch::daemon::oci {
namespace {

constexpr std::string_view kAlgorithm = "sha256:";
constexpr size_t kDigestDigits = 64;
constexpr size_t kMaxManifests = 1000;
constexpr size_t kMaxTexts = 10'000;  // of a list in a config
constexpr JsonBounds kBounds{.bytes = kMaxDocumentBytes, .values = 100'000, .depth = 32};

Error wrong(const std::string& field, const std::string& what) {
    return invalid(field + ": " + what);
}

Result<Json> object_in(std::string_view text, const char* noun) {
    Json json = TRY_IN(noun, parse_json(text, kBounds));
    if (!json.is_object()) return wrong(noun, "must be a JSON object");
    return json;
}

// Docker writes null for a list of nothing.
Result<std::vector<std::string>> texts_at(const Json& object, const char* key) {
    std::vector<std::string> texts;
    const Json& list = object.contains(key) ? object.at(key) : Json();
    if (list.is_null()) return texts;
    if (!list.is_array() || list.size() > kMaxTexts) return wrong(key, "must be a list of strings");
    for (const Json& item : list) {
        if (!item.is_string()) return wrong(key, "must be a list of strings");
        texts.push_back(item.get<std::string>());
    }
    return texts;
}

using TextPairs = std::vector<std::pair<std::string, std::string>>;

Result<TextPairs> members_at(const Json& object, const char* key) {
    TextPairs pairs;
    const Json& members = object.contains(key) ? object.at(key) : Json();
    if (members.is_null()) return pairs;
    if (!members.is_object() || members.size() > kMaxTexts) return wrong(key, "must be an object of strings");
    for (const auto& [name, value] : members.items()) {
        if (!value.is_string()) return wrong(key, "must be an object of strings");
        pairs.emplace_back(name, value.get<std::string>());
    }
    return pairs;
}

Result<Descriptor> descriptor_of(const Json& json, const std::string& field) {
    if (!json.is_object()) return wrong(field, "must be a descriptor");
    Descriptor descriptor{.media_type = text_at(json, "mediaType"), .digest = text_at(json, "digest"), .size = 0};
    TRY_IN(field + ".digest", check_digest(descriptor.digest));
    const auto size = json.contains("size") ? whole_number(json.at("size")) : std::nullopt;
    if (!size || *size < 0 || *size > kMostCounted) return wrong(field + ".size", "must be a number of bytes");
    descriptor.size = *size;
    const Json& platform = object_at(json, "platform");
    if (!platform.empty()) {
        descriptor.platform = Platform{.architecture = text_at(platform, "architecture"),
                                       .os = text_at(platform, "os"),
                                       .variant = text_at(platform, "variant")};
    }
    for (auto& [name, value] : TRY_IN(field, members_at(json, "annotations"))) descriptor.annotations[name] = value;
    return descriptor;
}

bool is_layer(std::string_view type) {
    constexpr std::string_view kKnown[] = {kLayerType, kGzipLayerType, kZstdLayerType, kDockerLayerType};
    return std::ranges::find(kKnown, type) != std::end(kKnown);
}

Error unknown_layer(const std::string& field, const std::string& type) {
    if (type.find("foreign") != std::string::npos || type.find("nondistributable") != std::string::npos) {
        return wrong(field, "is to be had elsewhere (a foreign layer), which is not supported");
    }
    return wrong(field, "\"" + type.substr(0, 100) + "\" is no media type of a layer that is known here");
}

Json json_of(const Descriptor& descriptor) {
    Json json = Json::object();
    json["mediaType"] = descriptor.media_type;
    json["digest"] = descriptor.digest;
    json["size"] = descriptor.size;
    if (descriptor.platform) {
        Json platform = Json::object();
        platform["architecture"] = descriptor.platform->architecture;
        platform["os"] = descriptor.platform->os;
        if (!descriptor.platform->variant.empty()) platform["variant"] = descriptor.platform->variant;
        json["platform"] = std::move(platform);
    }
    if (!descriptor.annotations.empty()) json["annotations"] = descriptor.annotations;
    return json;
}

std::string name_of(const Platform& platform) {
    return platform.os + "/" + platform.architecture + (platform.variant.empty() ? "" : "/" + platform.variant);
}

Json env_of(const TextPairs& env) {
    Json list = Json::array();
    for (const auto& [name, value] : env) list.push_back(name + "=" + value);
    return list;
}

}  // namespace

Result<void> check_digest(std::string_view digest) {
    const bool named = digest.starts_with(kAlgorithm) && digest.size() == kAlgorithm.size() + kDigestDigits;
    if (!named || digest.substr(kAlgorithm.size()).find_first_not_of("0123456789abcdef") != std::string_view::npos) {
        return invalid("\"" + std::string(digest.substr(0, 100)) +
                       "\" must be \"sha256:\" and 64 digits of lower-case hexadecimal");
    }
    return {};
}

Platform own_platform() {
#if defined(__x86_64__)
    return {.architecture = "amd64", .os = "linux"};
#elif defined(__aarch64__)
    return {.architecture = "arm64", .os = "linux"};
#else
#error "which architecture is this, by the names of the OCI image format?"
#endif
}

Result<std::string> media_type_of(std::string_view text) {
    const Json json = TRY(object_in(text, "manifest"));
    return text_at(json, "mediaType");
}

Result<Index> parse_index(std::string_view text) {
    const Json json = TRY(object_in(text, "index"));
    const Json& rows = array_at(json, "manifests");
    if (rows.size() > kMaxManifests) return wrong("manifests", "are more than 1000");
    Index index;
    for (const Json& row : rows) {
        const std::string field = "manifests[" + std::to_string(index.manifests.size()) + "]";
        index.manifests.push_back(TRY(descriptor_of(row, field)));
    }
    return index;
}

Result<Manifest> parse_manifest(std::string_view text) {
    const Json json = TRY(object_in(text, "manifest"));
    const auto version = json.contains("schemaVersion") ? whole_number(json.at("schemaVersion")) : std::nullopt;
    if (version != 2) return wrong("schemaVersion", "must be 2: older manifests are not supported");
    Manifest manifest{.config = TRY(descriptor_of(object_at(json, "config"), "config")), .layers = {}};
    const Json& rows = array_at(json, "layers");
    if (rows.size() > kMaxLayers) return wrong("layers", "are more than 127");
    for (const Json& row : rows) {
        const std::string field = "layers[" + std::to_string(manifest.layers.size()) + "]";
        Descriptor layer = TRY(descriptor_of(row, field));
        if (!is_layer(layer.media_type)) return unknown_layer(field, layer.media_type);
        manifest.layers.push_back(std::move(layer));
    }
    return manifest;
}

Result<ImageConfig> parse_config(std::string_view text) {
    const Json json = TRY(object_in(text, "config"));
    const Json& run = object_at(json, "config");
    ImageConfig config{.architecture = text_at(json, "architecture"), .os = text_at(json, "os")};
    config.user = text_at(run, "User");
    config.work_dir = text_at(run, "WorkingDir");
    config.created = text_at(json, "created");
    for (const std::string& variable : TRY(texts_at(run, "Env"))) {
        const size_t equals = variable.find('=');
        if (equals == 0) return wrong("Env", "\"" + variable.substr(0, 100) + "\" must be NAME=VALUE");
        config.env.emplace_back(variable.substr(0, equals),
                                equals == std::string::npos ? "" : variable.substr(equals + 1));
    }
    config.entrypoint = TRY(texts_at(run, "Entrypoint"));
    config.cmd = TRY(texts_at(run, "Cmd"));
    for (const auto& [port, nothing] : object_at(run, "ExposedPorts").items()) config.ports.push_back(port);
    if (config.ports.size() > kMaxTexts) return wrong("ExposedPorts", "are too many");
    config.labels = TRY(members_at(run, "Labels"));
    config.diff_ids = TRY(texts_at(object_at(json, "rootfs"), "diff_ids"));
    if (config.diff_ids.size() > kMaxLayers) return wrong("rootfs.diff_ids", "are more than 127");
    for (const std::string& id : config.diff_ids) {
        TRY_IN("rootfs.diff_ids", check_digest(id));
    }
    return config;
}

Result<Descriptor> choose(const Index& index, const Platform& platform) {
    std::string others;
    for (const Descriptor& manifest : index.manifests) {
        const auto& said = manifest.platform;
        if (!said && index.manifests.size() == 1) return manifest;
        if (said && said->os == platform.os && said->architecture == platform.architecture) return manifest;
        if (said && others.size() < 200) others += (others.empty() ? "" : ", ") + name_of(*said);
    }
    return Error{ErrorKind::kNotFound, 0,
                 "it is not there for " + name_of(platform) + (others.empty() ? "" : ", only for " + others)};
}

std::string dump(const Index& index) {
    Json json = Json::object();
    json["schemaVersion"] = 2;
    json["mediaType"] = kIndexType;
    json["manifests"] = Json::array();
    for (const Descriptor& manifest : index.manifests) json["manifests"].push_back(json_of(manifest));
    return daemon::dump(json);
}

std::string dump(const Manifest& manifest) {
    Json json = Json::object();
    json["schemaVersion"] = 2;
    json["mediaType"] = kManifestType;
    json["config"] = json_of(manifest.config);
    json["layers"] = Json::array();
    for (const Descriptor& layer : manifest.layers) json["layers"].push_back(json_of(layer));
    return daemon::dump(json);
}

std::string dump(const ImageConfig& config) {
    Json run = Json::object();
    if (!config.user.empty()) run["User"] = config.user;
    if (!config.env.empty()) run["Env"] = env_of(config.env);
    if (!config.entrypoint.empty()) run["Entrypoint"] = config.entrypoint;
    if (!config.cmd.empty()) run["Cmd"] = config.cmd;
    if (!config.work_dir.empty()) run["WorkingDir"] = config.work_dir;
    for (const std::string& port : config.ports) run["ExposedPorts"][port] = Json::object();
    for (const auto& [name, value] : config.labels) run["Labels"][name] = value;
    Json json = Json::object();
    json["architecture"] = config.architecture;
    json["os"] = config.os;
    if (!config.created.empty()) json["created"] = config.created;
    json["config"] = std::move(run);
    json["rootfs"]["type"] = "layers";
    json["rootfs"]["diff_ids"] = config.diff_ids;
    json["history"] = Json::array();
    for (size_t layer = 0; layer < config.diff_ids.size(); ++layer) {
        Json one = Json::object();
        one["created_by"] = "hutch";
        json["history"].push_back(std::move(one));
    }
    return daemon::dump(json);
}

}  // namespace hutch::daemon::oci
