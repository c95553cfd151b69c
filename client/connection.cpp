#include "client/connection.h"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>

#include "client/tls.h"

namespace hutch::client {
namespace asio = boost::asio;
namespace ssl = asio::ssl;

struct Connection::State {
    explicit State(Socket connected) : socket(std::move(connected)) {}

    template <typename Use>
    auto use(Use&& use) {
        return tls ? use(*tls) : use(socket);
    }

    Socket socket;
    std::optional<ssl::stream<Socket&>> tls;
};

Connection::Connection(Socket socket) : state_(std::make_unique<State>(std::move(socket))) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<void> Connection::secure(const Endpoint& endpoint) {
    ssl::context context = TRY(tls_context(endpoint.ca_file));
    auto& tls = state_->tls.emplace(state_->socket, context);
    TRY(expect_name(tls.native_handle(), endpoint.host.name));
    ErrorCode code;
    tls.handshake(ssl::stream_base::client, code);
    if (code) return handshake_error(endpoint.host, code, SSL_get_verify_result(tls.native_handle()));
    return {};
}

Connection::executor_type Connection::get_executor() {
    return state_->socket.get_executor();
}

// By TLS there may be bytes that are none of the stream's, such as session tickets: what has come must be read to know.
size_t Connection::read_ready(asio::mutable_buffer into, ErrorCode& code) {
    if (state_->socket.available(code) == 0) return 0;
    state_->socket.non_blocking(true, code);
    const size_t size = read({into}, code);
    ErrorCode ignored;
    state_->socket.non_blocking(false, ignored);
    if (code == asio::error::would_block) code = {};
    return size;
}

void Connection::break_off() {
    ErrorCode ignored;
    state_->socket.close(ignored);
}

size_t Connection::read(const Pieces<asio::mutable_buffer>& pieces, ErrorCode& code) {
    return state_->use([&](auto& stream) { return stream.read_some(pieces, code); });
}

size_t Connection::write(const Pieces<asio::const_buffer>& pieces, ErrorCode& code) {
    return state_->use([&](auto& stream) { return stream.write_some(pieces, code); });
}

void Connection::start_reading(const Pieces<asio::mutable_buffer>& pieces,
                               asio::any_completion_handler<Moved> handler) {
    state_->use([&](auto& stream) { stream.async_read_some(pieces, std::move(handler)); });
}

void Connection::start_writing(const Pieces<asio::const_buffer>& pieces, asio::any_completion_handler<Moved> handler) {
    state_->use([&](auto& stream) { stream.async_write_some(pieces, std::move(handler)); });
}

}  // namespace hutch::client
