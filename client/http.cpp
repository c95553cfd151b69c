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

struct Response::Stream {
    explicit Stream(Connection connected) : connection(std::move(connected)) { parser.body_limit(boost::none); }

    /// Whether some of the answer is there, or the end of the connection, without waiting for it.
    bool has_answer() {
        ErrorCode code;
        buffer.commit(connection.read_ready(buffer.prepare(4096), code));
        return code || buffer.size() > 0;
    }

    Connection connection;
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
    return header("Content-Type");
}

std::string Response::header(const char* name) const {
    return std::string(stream_->parser.get()[name]);
}

Result<std::string_view> Response::read() {
    auto& [connection, buffer, parser, piece] = *stream_;
    size_t size = 0;
    while (size == 0 && !parser.is_done()) {
        auto& body = parser.get().body();
        body.data = piece.data();
        body.size = piece.size();
        ErrorCode code;
        http::read_some(connection, buffer, parser, code);
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

Result<void> Response::skip() {
    while (!TRY(read()).empty()) {
    }
    return {};
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

void send_whole(Connection& connection, const Endpoint& endpoint, const Request& request, ErrorCode& code) {
    auto message = make_head<http::string_body>(endpoint, request);
    message.body() = request.body;
    if (!request.body.empty() || request.method != "GET") message.prepare_payload();
    http::write(connection, message, code);
}

Result<void> send_chunks(Response::Stream& stream, const Endpoint& endpoint, const Request& request,
                         std::string_view piece, ErrorCode& code) {
    auto message = make_head<http::empty_body>(endpoint, request);
    message.chunked(true);
    http::request_serializer<http::empty_body> serializer(message);
    http::write_header(stream.connection, serializer, code);
    for (; !code; piece = TRY(request.source())) {
        if (piece.empty()) {
            asio::write(stream.connection, http::make_chunk_last(), code);
            break;
        }
        // An answer before the end of the body is a refusal: there is no use in sending on.
        if (stream.has_answer()) break;
        asio::write(stream.connection, http::make_chunk(asio::buffer(piece.data(), piece.size())), code);
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
    auto stream = std::make_unique<Response::Stream>(TRY(connect(sockets(), endpoint)));
    ErrorCode sending;
    if (request.source) {
        TRY(send_chunks(*stream, endpoint, request, first, sending));
    } else {
        send_whole(stream->connection, endpoint, request, sending);
    }
    // After a failed send the reason may still have been said before the daemon closed.
    ErrorCode reading;
    http::read_header(stream->connection, stream->buffer, stream->parser, reading);
    if (reading) return broken_off(endpoint.host, sending ? sending : reading);
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
