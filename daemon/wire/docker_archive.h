#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

/// An image of an archive that `docker save` made, as its manifest.json tells: names of files of the archive.
struct DockerImage {
    std::string config;
    std::vector<std::string> tags{};    ///< "node:20"
    std::vector<std::string> layers{};  ///< bottom first
};

/// A stranger's: bounded, kInvalid with the field's name.
Result<std::vector<DockerImage>> parse_docker_images(std::string_view manifest);

}  // namespace hutch::daemon
