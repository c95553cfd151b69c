#pragma once

// Costly to compile: only what talks over a WebSocket includes this.

#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/websocket.hpp>
#include <string>

#include "client/connect.h"

namespace hutch::client {

// How Beast ends a stream it does not know.
void beast_close_socket(Connection& connection);
void teardown(boost::beast::role_type, Connection& connection, ErrorCode& code);
template <typename Handler>
void async_teardown(boost::beast::role_type, Connection& connection, Handler&& handler) {
    connection.break_off();
    boost::asio::post(connection.get_executor(),
                      boost::beast::bind_front_handler(std::forward<Handler>(handler), ErrorCode()));
}

using WebSocket = boost::beast::websocket::stream<Connection>;

/// Connects and shakes hands. A refusal is an error with the daemon's own sentence, as Api's are.
Result<WebSocket> open_web_socket(boost::asio::io_context& io, const Endpoint& endpoint, const std::string& target);

}  // namespace hutch::client
