#include "daemon/wire/docker_archive.h"

#include "daemon/wire/json.h"
#include "daemon/wire/oci.h"

namespace hutch::daemon {
namespace {

constexpr JsonBounds kManifestBounds{.bytes = oci::kMaxDocumentBytes, .values = 100'000, .depth = 16};
constexpr size_t kMostImages = 1000;

Result<std::vector<std::string>> names_at(const Json& image, const char* key) {
    std::vector<std::string> names;
    for (const Json& name : array_at(image, key)) {  // null where there are none
        if (!name.is_string()) return invalid(std::string(key) + ": must be a list of strings");
        names.push_back(name.get<std::string>());
    }
    return names;
}

}  // namespace

Result<std::vector<DockerImage>> parse_docker_images(std::string_view manifest) {
    const Json rows = TRY(parse_json(manifest, kManifestBounds));
    if (!rows.is_array()) return invalid("must be a list of images");
    if (rows.size() > kMostImages) return invalid("holds more than 1000 images");
    std::vector<DockerImage> images;
    for (const Json& row : rows) {
        if (!row.is_object()) return invalid("must be a list of images");
        DockerImage image{.config = text_at(row, "Config")};
        if (image.config.empty()) return invalid("Config: must be the name of a file");
        image.tags = TRY(names_at(row, "RepoTags"));
        image.layers = TRY(names_at(row, "Layers"));
        images.push_back(std::move(image));
    }
    return images;
}

}  // namespace hutch::daemon
