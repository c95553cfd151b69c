#pragma once

#include <string>

#include "client/api.h"

namespace hutch::client {

/// Brings an image from a registry, and tells how far it is on standard error. `name`: what to call it here; "" is as
/// the reference. The image, as the API has it.
Result<Json> pull_image(const Api& api, const std::string& reference, const std::string& name);

}  // namespace hutch::client
