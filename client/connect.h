#pragma once

// Only http.cpp and session.cpp include this: it brings Asio in.

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

#include "base/result.h"
#include "client/host.h"

namespace hutch::client {

/// One socket type for both kinds of host.
using Socket = boost::asio::generic::stream_protocol::socket;

/// Connects; the error says what was tried and how the daemon is started.
Result<Socket> connect(boost::asio::io_context& io, const Host& host);
/// What stands in the Host header.
std::string host_header(const Host& host);

}  // namespace hutch::client
