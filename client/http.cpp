#include "client/http.h"

#include "base/file.h"

#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "client/connect.h"

namespace hutch::client {
namespace asio = boost::asio;
namespace http = boost::beast::http;

using ErrorCode = boost::system::error_code;

struct Response::Stream {
    explicit Stream(Socket connected) : socket(std::move(connected)) { parser.body_limit(boost::none); }

    Socket socket;
    boost::beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    std::array<char, size_t{64} << 10> piece{};
};

Response::Response(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}
Response::Response(Response&&) noexcept = default;
Response& Response::operator=(Response&&) noexcept = default;
Response::~Response() = default;

int Response::status() const {
    return static_cast<int>(stream_->parser.get().result_int());
}

std::string Response::content_type() const {
    return std::string(stream_->parser.get()[http::field::content_type]);
}

Result<std::string_view> Response::read() {
    auto& [socket, buffer, parser, piece] = *stream_;
    size_t size = 0;
    while (size == 0 && !parser.is_done()) {
        auto& body = parser.get().body();
        body.data = piece.data();
        body.size = piece.size();
        ErrorCode code;
        http::read_some(socket, buffer, parser, code);
        size = piece.size() - body.size;
        if (code && code != http::error::need_buffer) {
            return Error{ErrorKind::kSystem, 0, "the daemon broke off its answer: " + code.message()};
        }
    }
    return std::string_view(piece.data(), size);
}

Result<std::string> Response::read_all(size_t limit) {
    std::string whole;
    for (;;) {
        const std::string_view piece = TRY(read());
        if (piece.empty()) return whole;
        whole += piece;
        if (whole.size() > limit) return errno_error("reading the daemon's answer", EFBIG);
    }
}

namespace {

template <typename Body>
http::request<Body> make_head(const Endpoint& endpoint, const Request& request) {
    http::request<Body> head;
    head.version(11);
    head.method_string(request.method);
    head.target(request.target);
    head.set(http::field::host, host_header(endpoint.host));
    head.set(http::field::user_agent, "hutch/" HUTCH_VERSION);
    if (!request.content_type.empty()) head.set(http::field::content_type, request.content_type);
    if (endpoint.host.kind == Host::Kind::kTcp && !endpoint.api_key.empty()) {
        head.set("X-Box-Api-Key", endpoint.api_key);
    }
    return head;
}

void send_whole(Socket& socket, const Endpoint& endpoint, const Request& request, ErrorCode& code) {
    auto message = make_head<http::string_body>(endpoint, request);
    message.body() = request.body;
    if (!request.body.empty() || request.method != "GET") message.prepare_payload();
    http::write(socket, message, code);
}

Result<void> send_chunks(Socket& socket, const Endpoint& endpoint, const Request& request, std::string_view piece,
                         ErrorCode& code) {
    auto message = make_head<http::empty_body>(endpoint, request);
    message.chunked(true);
    http::request_serializer<http::empty_body> serializer(message);
    http::write_header(socket, serializer, code);
    for (; !code; piece = TRY(request.source())) {
        if (piece.empty()) {
            asio::write(socket, http::make_chunk_last(), code);
            break;
        }
        // An answer before the end of the body is a refusal: there is no use in sending on.
        ErrorCode ignored;
        if (socket.available(ignored) > 0) break;
        asio::write(socket, http::make_chunk(asio::buffer(piece.data(), piece.size())), code);
    }
    return {};
}

asio::io_context& sockets() {
    static asio::io_context io;
    return io;
}

}  // namespace

Result<Response> send(const Endpoint& endpoint, const Request& request) {
    // The first piece may take minutes (a recipe at work), and the daemon does not wait that long for a body.
    std::string_view first;
    if (request.source) first = TRY(request.source());
    auto stream = std::make_unique<Response::Stream>(TRY(connect(sockets(), endpoint.host)));
    ErrorCode sending;
    if (request.source) {
        TRY(send_chunks(stream->socket, endpoint, request, first, sending));
    } else {
        send_whole(stream->socket, endpoint, request, sending);
    }
    // After a failed send the reason may still have been said before the daemon closed.
    ErrorCode reading;
    http::read_header(stream->socket, stream->buffer, stream->parser, reading);
    const ErrorCode failure = sending ? sending : reading;
    if (reading) {
        return Error{ErrorKind::kSystem, 0,
                     "the daemon at " + endpoint.host.text + " broke the connection off: " + failure.message()};
    }
    return Response(std::move(stream));
}

Result<void> pour(Response& response, int fd, const std::string& name) {
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) return {};
        TRY_IN("writing " + name, write_all(fd, piece));
    }
}

}  // namespace hutch::client
