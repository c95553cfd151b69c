#include "client/web_socket.h"

#include "client/api.h"

namespace hutch::client {
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

void beast_close_socket(Connection& connection) {
    connection.break_off();
}

void teardown(boost::beast::role_type, Connection& connection, ErrorCode& code) {
    connection.break_off();
    code = {};
}

namespace {

Result<void> shake_hands(WebSocket& socket, const Endpoint& endpoint, const std::string& target) {
    socket.set_option(websocket::stream_base::decorator([&endpoint](websocket::request_type& request) {
        request.set(http::field::user_agent, "hutch/" HUTCH_VERSION);
        if (endpoint.host.kind == Host::Kind::kTcp && !endpoint.api_key.empty()) {
            request.set("X-Box-Api-Key", endpoint.api_key);
        }
    }));
    socket.read_message_max(0);
    websocket::response_type answer;
    ErrorCode code;
    socket.handshake(answer, host_header(endpoint.host), target, code);
    if (code == websocket::error::upgrade_declined) {
        return api_error(static_cast<int>(answer.result_int()), answer.body());
    }
    if (code) return broken_off(endpoint.host, code);
    return {};
}

}  // namespace

Result<WebSocket> open_web_socket(boost::asio::io_context& io, const Endpoint& endpoint, const std::string& target) {
    WebSocket socket(TRY(connect(io, endpoint)));
    TRY(shake_hands(socket, endpoint, target));
    return socket;
}

}  // namespace hutch::client
