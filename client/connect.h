#pragma once

#include <string>

#include "client/connection.h"

namespace hutch::client {

/// Connects, by TLS if the host is an https one; the error says what was tried and how the daemon is started.
Result<Connection> connect(boost::asio::io_context& io, const Endpoint& endpoint);
/// What to say of a connection that ended, or carried what is no HTTP, before the head of an answer.
Error broken_off(const Host& host, const ErrorCode& code);
/// What stands in the Host header.
std::string host_header(const Host& host);

}  // namespace hutch::client
