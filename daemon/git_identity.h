#pragma once

namespace hutch::daemon {

/// Who commits in a box whose git was not told.
constexpr const char* kGitName = "Hutch Box";
constexpr const char* kGitEmail = "box@hutch.local";

}  // namespace hutch::daemon
