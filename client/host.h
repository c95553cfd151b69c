#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::client {

inline constexpr std::string_view kDefaultHost = "unix:///run/hutch/hutch.sock";

/// Where the daemon listens.
struct Host {
    enum class Kind { kUnix, kTcp };
    Kind kind = Kind::kUnix;
    std::string text;  ///< as the user wrote it, for messages
    std::string path;  ///< kUnix: the socket's path
    std::string name;  ///< kTcp: host name or address, without the brackets of an IPv6 one
    std::string port;  ///< kTcp
    bool tls = false;  ///< kTcp: https
};

/// Where to ask, as whom, and whom to believe there.
struct Endpoint {
    Host host;
    std::string api_key;  ///< sent on TCP only; on the Unix socket the kernel says who we are
    std::string ca_file;  ///< PEM file of the issuers to trust over https; empty: the system's
};

/// `unix:///absolute/path`, `http://name[:port]` or `https://name[:port]`; anything else is kInvalid.
Result<Host> parse_host(std::string_view text);

/// Everything but RFC 3986's unreserved characters becomes %XX: safe as one path segment and as a query value.
std::string percent_encode(std::string_view text);

}  // namespace hutch::client
