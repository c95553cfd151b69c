#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

/// One call of somebody else's server, from the host.
struct OutboundCall {
    std::string url;                     ///< http or https
    std::vector<std::string> headers{};  ///< "Name: value"
    std::string body{};                  ///< is posted; empty: it is a GET
    /// Whether it may go to loopback, private and link-local addresses. Not where a customer names the server: behind
    /// those lies what trusts this host.
    bool to_private = true;
};

struct OutboundAnswer {
    int64_t status = 0;
    std::string body;
};

/// Blocks, half a minute at most: for worker threads. The server must prove who it is (TLS), and what is sent goes to
/// no other: redirects are answers. kConflict when it cannot be reached, or may not.
Result<OutboundAnswer> call_out(const OutboundCall& call);

}  // namespace hutch::daemon
