#pragma once

#include <string>

namespace hutch::daemon {

/// Who commits in a box whose git was not told.
constexpr const char* kGitName = "Hutch Box";
constexpr const char* kGitEmail = "box@hutch.local";

struct Identity {
    std::string name;  ///< empty: as it is
    std::string email;
};

/// git's settings (git-config(1)) with this identity in the place of the one that `settings` have, if any: a value that
/// stands twice is one that `git config` refuses to change.
std::string with_identity(const std::string& settings, const Identity& identity);

}  // namespace hutch::daemon
