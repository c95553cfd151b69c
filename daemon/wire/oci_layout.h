#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// An image as files of one archive: an OCI image layout (image-spec, image-layout.md), which has for who knows only
/// Docker's format what that begins with too.
namespace hutch::daemon::oci {

inline constexpr const char* kLayoutName = "oci-layout";
inline constexpr const char* kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";
inline constexpr const char* kIndexName = "index.json";
inline constexpr const char* kDockerManifestName = "manifest.json";
/// By what containerd, and Docker on it, call an image that they load.
inline constexpr const char* kContainerdNameAnnotation = "io.containerd.image.name";

/// "blobs/sha256/..." of "sha256:...".
std::string blob_path(std::string_view digest);

/// The document `manifest.json` of one image. `layers`: paths, bottom first.
std::string docker_manifest(const std::string& config, const std::string& name, const std::vector<std::string>& layers);

/// A name that every program takes (distribution's reference grammar: lower case, single separators), as near to `name`
/// as may be; "image" where nothing is left.
std::string repository_name(std::string_view name);
/// What an image is called outside that is called `name` here: the same where that is a reference without a digest,
/// else repository_name() of it; with the tag "latest" where it has none.
std::string reference_name(std::string_view name);
/// The same as containerd has it, with the registry that is meant where none is named.
std::string containerd_name(std::string_view reference);
/// A tag the same way; "latest" where nothing is left.
std::string tag_name(std::string_view name);

}  // namespace hutch::daemon::oci
