#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace hutch::runtime {

/// The mount namespace every box is born in, instead of a copy of the host's: an empty root with /proc (a box may
/// mount its own proc only where a whole one is visible), /dev (the harmless devices, read-only), /machine and /box
/// (where init puts what it makes, and the box's root before it pivots). Nothing of the host can be reached from it,
/// and copying three mounts is quicker than copying all of the host's. The fd alone keeps it.
Result<UniqueFd> make_cradle();

}  // namespace hutch::runtime
