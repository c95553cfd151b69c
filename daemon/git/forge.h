#pragma once

#include <string>

#include "base/result.h"

namespace hutch::daemon {

/// One call of a server like GitHub, by its API.
struct ForgeCall {
    std::string url;
    std::string token;
    std::string body;  ///< JSON, which is posted; empty: it is a GET
};

struct ForgeAnswer {
    int64_t status = 0;
    std::string body;  ///< JSON, as a rule
};

/// Blocks, half a minute at most: for worker threads. The server must prove who it is (TLS), and the token goes to no
/// other: redirects are answers. kConflict when it cannot be reached.
Result<ForgeAnswer> call_forge(const ForgeCall& call);

}  // namespace hutch::daemon
