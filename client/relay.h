#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "client/api.h"

namespace hutch::client {

/// Writes a streaming answer's output to `fd` as it comes, and gives the data of its final event. An `error` event,
/// a missing one and a body that breaks off are errors.
Result<Json> relay(Response& response, int fd);
/// Tells `heard` the events of a streaming answer that has no output, and gives the data of the one called `last`. An
/// `error` event, a missing last one and a body that breaks off are errors.
Result<Json> follow_events(Response& response, const char* last,
                           const std::function<void(const std::string& name, const Json& data)>& heard);
/// How the final event says the command ended.
Result<int> exit_code_of(const Json& ending);
/// What `body` asks of `call` (exec-stream or code-stream) in the box, on standard output and standard error. `what`
/// names it to people. See Interrupts for what a signal does meanwhile.
Result<int> run_streaming(const Api& api, const std::string& box, const std::string& call, Json body,
                          const std::string& what);
/// Whether standard output and standard error are one: then what goes to both is to keep its order.
bool outputs_are_one();

}  // namespace hutch::client
