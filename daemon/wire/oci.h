#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/wire/json.h"

/// What others call images: the documents of the OCI image format 1.0 (image-spec) and of Docker's of before it, which
/// say the same in other media types. All that is read here is a stranger's: bounded, and kInvalid with the field's
/// name where it is not what the format says. What the format has and nobody here needs is left out of what is read.
namespace hutch::daemon::oci {

inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kLayerType = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kGzipLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kZstdLayerType = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerListType = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfigType = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";

inline constexpr size_t kMaxDocumentBytes = 4 << 20;  ///< of an index, a manifest or a config
inline constexpr size_t kMaxLayers = 127;             ///< as others have it
/// Of where a reference stands for a layer's name in an index: `latest`, `app:1.2`.
inline constexpr const char* kNameAnnotation = "org.opencontainers.image.ref.name";

/// What content is called by: "sha256:" and 64 digits of lower-case hexadecimal. Others are kInvalid.
Result<void> check_digest(std::string_view digest);

/// What an index says that a manifest is for.
struct Platform {
    std::string architecture;  ///< by Go's names: "amd64", "arm64"
    std::string os;            ///< "linux"
    std::string variant{};
};
/// What this program was built for, of which boxes are.
Platform own_platform();

struct Descriptor {
    std::string media_type;
    std::string digest;
    int64_t size = 0;  ///< bytes
    std::optional<Platform> platform{};
    std::map<std::string, std::string> annotations{};
};

struct Index {
    std::vector<Descriptor> manifests;
};

struct Manifest {
    Descriptor config;
    std::vector<Descriptor> layers;  ///< bottom first
};

/// How programs of an image are run, and of which layers it is.
struct ImageConfig {
    std::string architecture;
    std::string os;
    std::string user{};  ///< name or id, and ":" and those of a group; empty: root
    std::vector<std::pair<std::string, std::string>> env{};
    std::vector<std::string> entrypoint{};
    std::vector<std::string> cmd{};
    std::string work_dir{};            ///< empty: /
    std::vector<std::string> ports{};  ///< "8080/tcp"
    std::vector<std::pair<std::string, std::string>> labels{};
    std::vector<std::string> diff_ids{};  ///< of the plain archives, bottom first
    std::string created{};                ///< RFC 3339; empty: not said
};

/// The media type that a document says itself, "" for none; where it came with another, that one decides.
Result<std::string> media_type_of(std::string_view text);
Result<Index> parse_index(std::string_view text);
/// kInvalid also for layers that are to be had elsewhere ("foreign"), and for media types that are not layers.
Result<Manifest> parse_manifest(std::string_view text);
Result<ImageConfig> parse_config(std::string_view text);

/// The one for this machine. kNotFound, naming those that there are.
Result<Descriptor> choose(const Index& index, const Platform& platform);

// As OCI documents, the same bytes for the same content.
std::string dump(const Index& index);
std::string dump(const Manifest& manifest);
std::string dump(const ImageConfig& config);

}  // namespace hutch::daemon::oci
