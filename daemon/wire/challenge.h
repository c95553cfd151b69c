#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

/// How a server wants its callers to prove who they are: one challenge of `WWW-Authenticate` (RFC 9110, 11.3).
struct Challenge {
    std::string scheme;                         ///< in lower case: "bearer", "basic"
    std::map<std::string, std::string> values;  ///< by names in lower case: "realm"

    [[nodiscard]] std::string value(const std::string& name) const {
        const auto found = values.find(name);
        return found == values.end() ? std::string() : found->second;
    }
};

/// All of one header's. A header of more than 8 KiB, and what follows the first thing that cannot be understood, has
/// none.
std::vector<Challenge> parse_challenges(std::string_view header);

/// What a server of tokens has answered.
struct BearerToken {
    std::string token;    ///< fit for a header
    std::string refresh;  ///< with which another is asked for; empty for none
};
/// kInvalid, with what is wrong, for an answer without a token that can stand in a header in at most 32 KiB.
Result<BearerToken> parse_token(std::string_view body);

/// What the registry says of a refusal: the codes and messages of its `errors`, in a line of printable text of at most
/// 300 bytes. Empty where there are none.
std::string refusal_in(std::string_view body);

/// One part of a query: letters, digits, '-', '.', '_' and '~' stay, the rest is escaped.
std::string escaped_query(std::string_view text);

/// Where a redirect leads, by its Location and the address that was called: absolute, beginning with another path, or
/// with a query alone. kInvalid for anything else than http and https, and for more than 8 KiB.
Result<std::string> redirected(const std::string& called, std::string_view location);

}  // namespace hutch::daemon
