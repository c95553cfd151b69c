#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/fetch.h"

namespace hutch::daemon {

/// One call of somebody else's server, from the host.
struct OutboundCall {
    std::string url;                     ///< http or https
    std::vector<std::string> headers{};  ///< "Name: value"
    std::string body{};                  ///< is posted; empty: it is a GET
    /// Whether it may go to loopback, private and link-local addresses. Not where a customer names the server: behind
    /// those lies what trusts this host.
    bool to_private = true;
    std::string authorities{};  ///< as FetchCall::authorities
};

struct OutboundAnswer {
    int64_t status = 0;
    std::string body;
};

/// Takes half a minute at most, and no thread: who waits for a silent server keeps nobody else. The server must prove
/// who it is (TLS), and what is sent goes to no other: redirects are answers. kConflict when it cannot be reached, or
/// may not.
Task<Result<OutboundAnswer>> call_out(Fetcher& fetcher, OutboundCall call);

}  // namespace hutch::daemon
