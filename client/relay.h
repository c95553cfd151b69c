#pragma once

#include "base/result.h"
#include "client/api.h"

namespace hutch::client {

/// Writes a streaming answer's output to `fd` as it comes, and gives the data of its final event. An `error` event,
/// a missing one and a body that breaks off are errors.
Result<Json> relay(Response& response, int fd);
/// How that event says the command ended.
Result<int> exit_code_of(const Json& ending);
/// Both: what `body` asks of `target`, on standard output.
Result<int> run_streaming(const Api& api, const std::string& target, const Json& body);

}  // namespace hutch::client
