#pragma once

#include "daemon/api/exchange.h"
#include "daemon/api/wire.h"

namespace hutch::daemon {

/// Answers the handshake and takes the connection over. kInvalid, with nothing written, when the request is none.
Task<Result<std::unique_ptr<Socket>>> open_web_socket(Wire wire, const Request& request, const Patience& patience);

/// Whether open_web_socket() would begin.
bool is_web_socket(const Request& request);

}  // namespace hutch::daemon
