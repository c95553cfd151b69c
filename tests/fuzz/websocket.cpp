// What a client sends once its connection is a WebSocket: messages within their bound, or the end.

#include "daemon/api/web_socket.h"

#include <sys/socket.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "tests/fuzz/pieces.h"

using namespace hutch::daemon;

namespace {

constexpr size_t kMostMessage = 1 << 20;

Request handshake() {
    Request request;
    request.method = "GET";
    request.headers = {{"host", "hutch"},
                       {"connection", "Upgrade"},
                       {"upgrade", "websocket"},
                       {"sec-websocket-version", "13"},
                       {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    return request;
}

Task<> serve(Wire wire) {
    const Request request = handshake();
    const Patience patience;
    auto socket = co_await open_web_socket(std::move(wire), request, patience);
    must(socket.ok());
    for (;;) {
        const auto frame = co_await socket.value()->read();
        if (!frame.ok()) co_return;
        must(frame.value().data.size() <= kMostMessage);
        const auto echoed = co_await socket.value()->write(frame.value().text, "x");
        if (!echoed.ok()) co_return;
    }
}

Task<> send(Wire::Socket& client, std::string_view said) {
    co_await asio::async_write(client, asio::buffer(said.data(), said.size()), kAwait);
    boost::system::error_code ignored;
    client.shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<> drop_answers(Wire::Socket& client) {
    std::string answer(4096, '\0');
    for (;;) {
        const auto [failed, size] = co_await client.async_read_some(asio::buffer(answer), kAwait);
        if (failed) co_return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    asio::io_context loop(1);
    const asio::generic::stream_protocol protocol(AF_UNIX, 0);
    Wire::Socket client(loop, protocol, ends[0]);
    const std::string_view said(reinterpret_cast<const char*>(data), size);
    asio::co_spawn(loop, serve(Wire(Wire::Socket(loop, protocol, ends[1]), nullptr)), asio::detached);
    asio::co_spawn(loop, send(client, said), asio::detached);
    asio::co_spawn(loop, drop_answers(client), asio::detached);
    loop.run();
    return 0;
}
