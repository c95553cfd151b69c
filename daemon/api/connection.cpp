#include "daemon/api/connection.h"

#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "daemon/api/codec.h"
#include "daemon/api/framing.h"
#include "daemon/api/url.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;

constexpr std::chrono::seconds kHeaderTimeout{60};  // of an idle connection too
constexpr std::chrono::seconds kBodyTimeout{60};    // for each piece
constexpr std::chrono::seconds kLingerTimeout{2};
constexpr size_t kBufferLimit = 256 * 1024;  // of what is not parsed yet: else a chunk's extension grows without end
constexpr size_t kHeadPiece = 4 * 1024;
constexpr size_t kPiece = 64 * 1024;
constexpr size_t kMaxFrame = 1024 * 1024;

// What the client sent is no HTTP, as opposed to a connection that ended or broke.
bool is_protocol_error(const beast::error_code& code) {
    return code && code.category() == make_error_code(http::error::bad_method).category() &&
           code != http::error::end_of_stream && code != http::error::partial_message;
}

Error gone(const beast::error_code& code) {
    if (is_protocol_error(code)) return {ErrorKind::kInvalid, 0, "body: " + code.message()};
    return {ErrorKind::kSystem, ECONNRESET, "client: " + code.message()};
}

class WebSocket final : public Socket {
  public:
    explicit WebSocket(Stream stream) : stream_(std::move(stream)) {
        stream_.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
        stream_.read_message_max(kMaxFrame);
    }
    Task<Result<void>> accept(const http::request<http::buffer_body>& request) {
        const auto [failed] = co_await stream_.async_accept(request, kAwait);
        if (failed) co_return gone(failed);
        co_return Result<void>();
    }
    Task<Result<Frame>> read() override {
        beast::flat_buffer buffer;
        const auto [failed, size] = co_await stream_.async_read(buffer, kAwait);
        if (failed) co_return gone(failed);
        co_return Frame{stream_.got_text(), beast::buffers_to_string(buffer.data())};
    }
    Task<Result<void>> write(bool text, std::string_view data) override {
        stream_.text(text);
        const auto [failed, size] = co_await stream_.async_write(asio::buffer(data), kAwait);
        if (failed) co_return gone(failed);
        co_return Result<void>();
    }
    Task<> close() override { co_await stream_.async_close(websocket::close_code::normal, kAwait); }

  private:
    websocket::stream<Stream> stream_;
};

class HttpExchange final : public Exchange {
  public:
    explicit HttpExchange(Stream& stream, beast::flat_buffer& buffer) : stream_(stream), buffer_(buffer) {
        parser_.header_limit(HeadScan::kMostBytes);
        parser_.body_limit(boost::none);  // whoever reads the body sets the limit
    }

    /// What the client sent: a request, none (it ended or broke), or what is refused.
    struct Head {
        bool whole = false;
        std::optional<Refusal> refusal;
    };
    Task<Head> read_head() {
        stream_.expires_after(kHeaderTimeout);
        HeadScan scan;
        for (;;) {
            const auto received = buffer_.data();
            if (auto refusal = scan.look({static_cast<const char*>(received.data()), received.size()})) {
                co_return Head{false, std::move(refusal)};
            }
            if (scan.size() != 0) break;
            const auto [failed, size] = co_await stream_.async_read_some(buffer_.prepare(kHeadPiece), kAwait);
            if (failed) co_return Head{};
            buffer_.commit(size);
        }
        stream_.expires_never();
        beast::error_code failed;
        buffer_.consume(parser_.put(asio::buffer(buffer_.data(), scan.size()), failed));
        if (failed) co_return Head{false, Refusal{400, "request: " + failed.message()}};
        co_return Head{true, std::nullopt};
    }

    /// Fills request(); an error for a target that is none.
    Result<void> understand() {
        const auto& header = parser_.get();
        request_.method = header.method_string();
        for (const auto& field : header) {
            std::string name(field.name_string());
            for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            request_.headers.emplace(std::move(name), field.value());
        }
        Target target = TRY(parse_target(std::string(header.target())));
        request_.path = std::move(target.path);
        request_.query = std::move(target.query);
        return {};
    }

    Request& mutable_request() { return request_; }
    [[nodiscard]] const Request& request() const override { return request_; }
    [[nodiscard]] bool begun() const override { return begun_; }
    [[nodiscard]] bool upgraded() const { return upgraded_; }
    [[nodiscard]] bool finished() const { return finished_; }
    /// The client may still be sending: an answer came before the end of the request.
    [[nodiscard]] bool unread() const { return !parser_.is_done(); }
    [[nodiscard]] bool keep_alive() const { return parser_.is_done() && parser_.keep_alive() && finished_ && chunked_; }

    Task<Result<std::string>> read_some() override {
        if (!continued_ && parser_.get().version() >= 11 &&
            beast::iequals(parser_.get()[http::field::expect], "100-continue")) {
            constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
            const auto [failed, size] = co_await asio::async_write(stream_, asio::buffer(kContinue), kAwait);
            if (failed) co_return gone(failed);
        }
        continued_ = true;
        std::string piece;
        if (!parser_.is_done()) buffer_.reserve(kPiece);  // Beast reads as much as there is room for, else 512 bytes
        while (piece.empty() && !parser_.is_done()) {
            piece.resize(kPiece);
            auto& body = parser_.get().body();
            body.data = piece.data();
            body.size = piece.size();
            stream_.expires_after(kBodyTimeout);
            const auto [failed, size] = co_await http::async_read_some(stream_, buffer_, parser_, kAwait);
            stream_.expires_never();
            piece.resize(piece.size() - body.size);
            if (failed && failed != http::error::need_buffer) co_return gone(failed);
        }
        co_return piece;
    }

    Task<Result<std::string>> read_body(size_t limit) override {
        const auto too_large = [limit] {
            return Error{ErrorKind::kTooLarge, 0, "body: larger than " + std::to_string(limit) + " bytes"};
        };
        const auto length = parser_.content_length();
        if (length && *length > limit) co_return too_large();
        std::string whole;
        for (;;) {
            CO_TRY_LET(const std::string piece, co_await read_some());
            if (piece.empty()) co_return whole;
            whole += piece;
            if (whole.size() > limit) co_return too_large();
        }
    }

    using Exchange::begin;
    Task<Result<void>> begin(int status, const std::string& content_type,
                             std::map<std::string, std::string> headers) override {
        http::response<http::empty_body> response(static_cast<http::status>(status), parser_.get().version());
        response.set(http::field::content_type, content_type);
        for (const auto& [name, value] : headers) response.set(name, value);
        chunked_ = parser_.get().version() >= 11;  // to HTTP/1.0 the end of the connection is the end of the answer
        response.keep_alive(chunked_ && parser_.keep_alive());
        response.chunked(chunked_);
        http::response_serializer<http::empty_body> serializer(response);
        begun_ = true;
        const auto [failed, size] = co_await http::async_write_header(stream_, serializer, kAwait);
        if (failed) co_return gone(failed);
        co_return Result<void>();
    }
    Task<Result<void>> write(std::string_view piece) override {
        if (piece.empty()) co_return Result<void>();  // an empty chunk would end the stream
        if (!chunked_) co_return co_await put(asio::buffer(piece));
        co_return co_await put(http::make_chunk(asio::buffer(piece)));
    }
    Task<Result<void>> end() override {
        if (chunked_) CO_TRY(co_await put(http::make_chunk_last()));
        finished_ = true;
        co_return Result<void>();
    }

    Task<> client_gone() override {
        for (;;) {
            const auto [failed] = co_await stream_.socket().async_wait(asio::socket_base::wait_read, kAwait);
            if (failed) co_return;  // cancelled
            char byte = 0;
            const ssize_t n = recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) co_return;
            if (n > 0) break;  // its next request is here already, and hides the end behind it
        }
        asio::steady_timer never(stream_.get_executor(), asio::steady_timer::time_point::max());
        co_await never.async_wait(kAwait);
    }

    Task<Result<std::unique_ptr<Socket>>> upgrade() override {
        if (!websocket::is_upgrade(parser_.get()))
            co_return invalid("this call is a WebSocket: send an upgrade request");
        upgraded_ = begun_ = true;
        auto socket = std::make_unique<WebSocket>(std::move(stream_));
        CO_TRY(co_await socket->accept(parser_.get()));
        co_return std::unique_ptr<Socket>(std::move(socket));
    }

    Task<> send(const Response& response) {
        begun_ = true;
        http::response<http::string_body> message(static_cast<http::status>(response.status), parser_.get().version());
        message.set(http::field::content_type, response.content_type);
        message.body() = response.body;
        // An unread body would be taken for the next request. keep_alive() may be asked only after the header.
        message.keep_alive(parser_.is_done() && parser_.keep_alive());
        message.prepare_payload();
        if (parser_.get().method() == http::verb::head) message.body().clear();  // its length stays (RFC 9110, 9.3.2)
        const auto [failed, size] = co_await http::async_write(stream_, message, kAwait);
        finished_ = !failed;
    }

  private:
    // After a write that failed the next would hang: Asio waits for a change of the socket before it tries again
    // (epoll_reactor, done_and_exhausted), and after the hang-up none comes.
    template <typename Buffers>
    Task<Result<void>> put(Buffers buffers) {
        if (broken_) co_return gone(*broken_);
        const auto [failed, size] = co_await asio::async_write(stream_, buffers, kAwait);
        if (!failed) co_return Result<void>();
        broken_ = failed;
        co_return gone(failed);
    }

    Stream& stream_;
    beast::flat_buffer& buffer_;
    http::request_parser<http::buffer_body> parser_;
    Request request_;
    std::optional<beast::error_code> broken_;  ///< how a write failed
    bool continued_ = false;
    bool chunked_ = true;  ///< an answer of many pieces; not to HTTP/1.0
    bool begun_ = false;
    bool finished_ = false;
    bool upgraded_ = false;
};

// A page in a browser must not reach the API of whoever looks at it: browsers send Origin, our clients never do.
Result<Caller> authorize(const Request& request, const ConnectionRules& rules, const Result<Caller>& peer) {
    if (!request.header("origin").empty()) {
        return Error{ErrorKind::kUnauthorized, 0, "Origin: requests from web pages are refused"};
    }
    if (rules.keyed) return rules.auth.by_key(request.header("x-box-api-key"));
    return peer;
}

Response refusal(int status, const std::string& error) {
    return answer(Json{{"error", error}}, status);
}

Task<Result<std::optional<Response>>> handle(HttpExchange& exchange, const ConnectionRules& rules,
                                             const Result<Caller>& peer) {
    CO_TRY(exchange.understand());
    const Request& request = exchange.request();
    CO_TRY_LET(exchange.mutable_request().caller, authorize(request, rules, peer));
    const Router::Match match = rules.router.match(request.method, request.path);
    if (match.handler == nullptr) {
        const std::string what = request.method + " " + request.path;
        co_return std::optional(match.status == 405 ? refusal(405, what + ": this method is not for this path")
                                                    : refusal(404, what + ": there is no such call"));
    }
    CO_TRY(rules.router.check(exchange, match.params));
    co_return co_await (*match.handler)(exchange, match.params);
}

Task<bool> serve_one(HttpExchange& exchange, const ConnectionRules& rules, const Result<Caller>& peer) {
    Result<std::optional<Response>> outcome = std::optional<Response>();
    try {
        outcome = co_await handle(exchange, rules, peer);
    } catch (const std::exception& thrown) {  // of a library, or out of memory: this request's end, not the daemon's
        outcome = Error{ErrorKind::kSystem, 0, thrown.what()};
    }
    if (!outcome.ok() && http_status(outcome.error()) == 500) {
        log_error("{} {}: {}", exchange.request().method, exchange.request().path, outcome.error().message);
    }
    if (exchange.upgraded()) co_return false;
    if (!exchange.begun()) {
        const Response response = outcome.ok() ? outcome.value().value_or(Response{}) : answer(outcome.error());
        co_await exchange.send(response);
    }
    co_return exchange.keep_alive();
}

// Closing over bytes the client has sent would reset the connection, and the answer would be lost with it (RFC
// 9112, 9.6).
Task<> take_rest(Stream& stream) {
    std::string piece(kPiece, '\0');
    stream.expires_after(kLingerTimeout);
    for (;;) {
        const auto [failed, size] = co_await stream.async_read_some(asio::buffer(piece), kAwait);
        if (failed) co_return;
    }
}

}  // namespace

Task<> serve_connection(asio::generic::stream_protocol::socket socket, ConnectionRules rules,
                        std::function<void(bool)> on_busy) {
    const Result<Caller> peer = rules.keyed ? Result<Caller>(Caller{}) : rules.auth.by_peer(socket.native_handle());
    Stream stream(std::move(socket));
    beast::flat_buffer buffer(kBufferLimit);
    bool unread = false;
    for (bool more = true; more;) {
        HttpExchange exchange(stream, buffer);
        const HttpExchange::Head head = co_await exchange.read_head();
        if (head.refusal) {
            const Response response = refusal(head.refusal->status, head.refusal->sentence);
            co_await exchange.send(response);
        }
        unread = head.refusal.has_value();
        if (!head.whole) break;
        on_busy(true);
        more = co_await serve_one(exchange, rules, peer);
        on_busy(false);
        if (exchange.upgraded()) co_return;
        unread = exchange.unread();
    }
    beast::error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    if (unread) co_await take_rest(stream);
}

}  // namespace hutch::daemon
