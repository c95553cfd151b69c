#pragma once

#include <span>

namespace hutch::daemon {

/// What Database::migrate() is given: each step as SQL, where `seal(text, place)` is the vault's.
std::span<const char* const> schema_steps();

}  // namespace hutch::daemon
