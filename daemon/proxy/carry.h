#pragma once

#include <functional>
#include <string>

#include "daemon/api/wire.h"

namespace hutch::daemon {

/// Takes bytes, all of them; an error when no more can be taken.
using Put = std::function<Task<Result<void>>(std::string_view bytes)>;

/// Passes on what has come already, and then what comes, for as long as it does, each piece when the last one was
/// taken. An end that is quiet keeps a kilobyte. True at the end of what comes; false when either side failed.
Task<bool> carry(Wire& from, std::string begin, Put put);

}  // namespace hutch::daemon
