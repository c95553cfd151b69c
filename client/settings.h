#pragma once

#include <string>
#include <vector>

#include "client/api.h"

namespace hutch::client {

/// Variables as the API takes them: each text is NAME=VALUE, or NAME, which is then as it is in our own environment.
/// kInvalid, naming `option`, for anything else.
Result<Json> variables_of(const std::string& option, const std::vector<std::string>& texts);

}  // namespace hutch::client
