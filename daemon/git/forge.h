#pragma once

#include <string>

#include "daemon/fetch.h"

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

/// Takes half a minute at most. The server must prove who it is (TLS), and the token goes to no other: redirects are
/// answers. kConflict when it cannot be reached.
Task<Result<ForgeAnswer>> call_forge(Fetcher& fetcher, ForgeCall call);

}  // namespace hutch::daemon
