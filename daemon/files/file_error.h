#pragma once

#include <string>

#include "base/result.h"

namespace hutch::daemon {

/// A failed call about a file of a box, of the kind that tells whose fault it is: `what` names the file as its caller
/// did.
Error file_error(int code, const std::string& what);

}  // namespace hutch::daemon
