#pragma once

#include <string>

#include "base/result.h"

namespace hutch::daemon {

/// kInvalid, naming `field`, for what git takes for no branch's name, or for an option.
Result<void> check_branch(const std::string& field, const std::string& branch);
/// An address that git can clone: "https://host/path", "git@host:path", "host/path" (for https) or an absolute path in
/// the box. kInvalid, naming `field`, for anything else, and for one that carries a password.
Result<std::string> checked_repo(const std::string& field, const std::string& repo);
/// kInvalid, naming `field`, for a token that cannot be one.
Result<void> check_token(const std::string& field, const std::string& token);

/// A repository of a server like GitHub.
struct RepoName {
    std::string host;
    std::string owner;
    std::string name;
};
/// From any of the forms above. kConflict when it is none of two names on a server.
Result<RepoName> parse_remote(const std::string& url);

}  // namespace hutch::daemon
