#include "daemon/api/web_socket.h"

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "base/undo.h"
#include "daemon/event.h"

namespace hutch::daemon {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

// How Beast ends a stream it does not know. The peer has closed by now, or is too late for it.
void beast_close_socket(Wire& wire) {
    wire.break_off();
}

template <typename Handler>
void async_teardown(beast::role_type, Wire& wire, Handler&& handler) {
    wire.break_off();
    asio::post(wire.get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), beast::error_code()));
}

namespace {

constexpr size_t kMaxFrame = 1024 * 1024;

Error gone(const beast::error_code& code) {
    return {ErrorKind::kSystem, ECONNRESET, "client: " + code.message()};
}

http::request<http::empty_body> as_handshake(const Request& request) {
    http::request<http::empty_body> handshake(http::string_to_verb(request.method), "/", 11);
    for (const auto& [name, value] : request.headers) handshake.set(name, value);
    return handshake;
}

class WebSocket final : public Socket {
  public:
    WebSocket(Wire wire, const Patience& patience) : stream_(std::move(wire)), written_(stream_.get_executor()) {
        stream_.set_option(websocket::stream_base::timeout{patience.head, patience.answer, true});
        stream_.read_message_max(kMaxFrame);
    }
    Task<Result<void>> accept(const http::request<http::empty_body>& handshake) {
        const auto [failed] = co_await stream_.async_accept(handshake, kAwait);
        if (failed) co_return gone(failed);
        co_return Result<void>();
    }
    Task<Result<Frame>> read() override {
        beast::flat_buffer buffer;
        const auto [failed, size] = co_await stream_.async_read(buffer, kAwait);
        if (failed) co_return gone(failed);
        co_return Frame{stream_.got_text(), beast::buffers_to_string(buffer.data())};
    }
    // Beast takes one write at a time.
    Task<Result<void>> write(bool text, std::string_view data) override {
        while (writing_) co_await written_.wait();
        writing_ = true;
        const Undo done([this] {
            writing_ = false;
            written_.notify();
        });
        stream_.text(text);
        const auto [failed, size] = co_await stream_.async_write(asio::buffer(data), kAwait);
        if (failed) co_return gone(failed);
        co_return Result<void>();
    }
    Task<> hung_up() override { co_await stream_.next_layer().hung_up(); }
    Task<> close() override { co_await stream_.async_close(websocket::close_code::normal, kAwait); }

  private:
    websocket::stream<Wire> stream_;
    bool writing_ = false;
    Signal written_;
};

}  // namespace

bool is_web_socket(const Request& request) {
    return websocket::is_upgrade(as_handshake(request));
}

Task<Result<std::unique_ptr<Socket>>> open_web_socket(Wire wire, const Request& request, const Patience& patience) {
    auto socket = std::make_unique<WebSocket>(std::move(wire), patience);
    CO_TRY(co_await socket->accept(as_handshake(request)));
    co_return std::unique_ptr<Socket>(std::move(socket));
}

}  // namespace hutch::daemon
