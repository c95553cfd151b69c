#pragma once

#include <optional>
#include <string>

#include "client/api.h"

namespace hutch::client {

/// The host that a reference of an image names, as docker reads it; empty for one that names none.
std::string registry_of(const std::string& reference);

/// Who docker has logged in as at that host, as the API takes it: of the file config.json in DOCKER_CONFIG, or in
/// ~/.docker. Nothing where it says nothing of the host, and for who is kept by a program of docker's (credsStore).
/// kInvalid for a file that cannot be understood.
Result<std::optional<Json>> docker_login(const std::string& host);

/// Adds it to what is asked, where the reference names a host: what is docker's goes to no other.
Result<void> add_docker_login(Json& body, const std::string& reference);

}  // namespace hutch::client
