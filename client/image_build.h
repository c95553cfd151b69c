#pragma once

#include <string>
#include <vector>

#include "client/program.h"

namespace hutch::client {

/// What `hutch image build -t NAME DIR` is told beside the directory.
struct ContainerfileOptions {
    std::string image, directory, file, target, from;
    std::vector<std::string> arguments;  ///< NAME=VALUE
    std::vector<std::string> secrets;    ///< id=ID,src=PATH or id=ID,env=NAME
    bool fresh = false;
};

/// Builds the image; the API's object.
Result<Json> build_containerfile(const Program& program, const ContainerfileOptions& options);

}  // namespace hutch::client
