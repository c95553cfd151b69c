#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// What an image of a registry is called: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`.
struct Reference {
    std::string host;        ///< with its port, in lower case; empty: none was named
    std::string repository;  ///< "library/node"
    std::string tag;         ///< empty: none was named
    std::string digest;      ///< "sha256:..."; empty: none was named

    /// As it is written. A tag beside a digest is kept for the reader; the digest decides.
    [[nodiscard]] std::string text() const;
    /// What names the manifest within the repository: the digest, else the tag, else "latest".
    [[nodiscard]] std::string manifest() const;
    bool operator==(const Reference&) const = default;
};

/// What is before the first '/' names a host if it has a '.' or a ':', or is "localhost", as docker has it: so
/// "node:20" and "library/node" have none. kInvalid, with a sentence that names `text`, for what is no reference.
Result<Reference> parse_reference(std::string_view text);

/// A reference without a host, at this one. On docker.io a repository of one word is one of library/.
Reference at_registry(Reference reference, const std::string& host);

/// Whether that is a host of registries, "name", "name:port" or an address, in lower case: kInvalid, else.
Result<void> check_registry_host(std::string_view host);

/// Whether it is this machine's own: localhost, 127.0.0.0/8 or [::1], with or without a port.
bool is_loopback_host(std::string_view host);

}  // namespace hutch::daemon
