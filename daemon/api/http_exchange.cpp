#include "daemon/api/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "base/undo.h"
#include "daemon/api/web_socket.h"
#include "daemon/wire/url.h"

namespace hutch::daemon {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using Clock = std::chrono::steady_clock;

constexpr size_t kBodyPiece = 64 * 1024;
constexpr size_t kMostTogether = 64 * 1024;  // of a body that is copied behind its head, to be sent in one call

}  // namespace

HttpExchange::HttpExchange(Wire& wire, beast::flat_buffer& buffer, const Patience& patience, Workers& decoders)
    : wire_(wire),
      buffer_(buffer),
      patience_(patience),
      decoders_(decoders),
      pace_(patience.body),
      turn_(std::make_shared<Turn>(wire.get_executor())) {
    parser_.header_limit(HeadScan::kMostBytes);
    parser_.body_limit(boost::none);  // whoever reads the body sets the limit
}

Task<HttpExchange::Head> HttpExchange::read_head(std::function<void()> begun) {
    HeadBytes head = co_await read_head_bytes(wire_, buffer_, patience_, std::move(begun));
    if (head.refusal || head.size == 0) co_return Head{false, std::move(head.refusal)};
    beast::error_code failed;
    buffer_.consume(parser_.put(asio::buffer(buffer_.data(), head.size), failed));
    if (failed) co_return Head{false, Refusal{400, "request: " + failed.message()}};
    old_ = parser_.get().version() < 11;
    co_return Head{true, std::nullopt};
}

Result<void> HttpExchange::understand() {
    const auto& header = parser_.get();
    request_.method = header.method_string();
    for (const auto& field : header) {
        request_.headers.emplace(lower(field.name_string()), field.value());
    }
    request_.target = header.target();
    Target target = TRY(parse_target(request_.target));
    request_.path = std::move(target.path);
    request_.query = std::move(target.query);
    return {};
}

Task<Result<void>> HttpExchange::receive_body() {
    if (buffer_.size() + kBodyPiece > buffer_.max_size()) co_return invalid("body: a line of a chunk has no end");
    const auto space = buffer_.prepare(kBodyPiece);
    const auto came = co_await wire_.read_some(space.data(), kBodyPiece, pace_);
    left_ = came.ok() ? came.value() == 0 : came.error().kind != ErrorKind::kTimeout;
    if (left_) co_return client_left("left within a body");
    if (!came.ok()) {
        co_return Error{
            ErrorKind::kTimeout, 0,
            fmt::format("body: came too slowly; send 1 KiB a second at least, with pauses of at most {} seconds",
                        patience_.body.count() / 1000)};
    }
    buffer_.commit(came.value());
    co_return Result<void>();
}

Task<Result<std::string>> HttpExchange::read_some() {
    if (given_back_) co_return std::exchange(*given_back_, {});
    if (!continued_ && !old_ && !parser_.is_done() && !request_.header("expect").empty()) {
        CO_TRY(co_await put("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    continued_ = true;
    // All that has come: who sends a chunk for each byte must not have room made for each.
    std::string piece;
    size_t size = 0;
    bool starved = buffer_.size() == 0;
    while (size < kBodyPiece && !parser_.is_done() && !(starved && size > 0)) {
        if (starved) CO_TRY(co_await receive_body());
        piece.resize(kBodyPiece);
        auto& body = parser_.get().body();
        body.data = piece.data() + size;
        body.size = piece.size() - size;
        beast::error_code failed;
        buffer_.consume(parser_.put(buffer_.data(), failed));
        size = piece.size() - body.size;
        starved = failed == http::error::need_more || buffer_.size() == 0;
        if (failed && failed != http::error::need_buffer && failed != http::error::need_more) {
            co_return invalid("body: " + failed.message());
        }
    }
    piece.resize(size);
    co_return piece;
}

Task<Result<std::string>> HttpExchange::read_body(size_t limit) {
    const auto too_large = [limit] {
        return Error{ErrorKind::kTooLarge, 0, "body: larger than " + std::to_string(limit) + " bytes"};
    };
    const auto length = parser_.content_length();
    if (length && *length > limit) co_return too_large();
    std::string whole;
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await read_some());
        if (piece.empty()) co_return whole;
        if (whole.size() + piece.size() > limit) co_return too_large();
        CO_TRY(memory().grow(piece.size()));
        // Of a large one in one go, or it is copied again and again. What was not written to takes no memory (mmap(2)).
        if (whole.size() + piece.size() > kBodyPiece) whole.reserve(std::min<size_t>(limit, length.value_or(limit)));
        whole += piece;
    }
}

std::string HttpExchange::head_of(int status, std::map<std::string, std::string> headers) const {
    if (!stays_) headers["Connection"] = "close";
    if (stays_ && old_) headers["Connection"] = "keep-alive";
    const auto reason = http::obsolete_reason(static_cast<http::status>(status));
    std::string head =
        fmt::format("HTTP/1.{} {} {}\r\n", old_ ? 0 : 1, status, std::string_view(reason.data(), reason.size()));
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    return head + "\r\n";
}

Task<Result<void>> HttpExchange::begin(int status, const std::string& content_type,
                                       std::map<std::string, std::string> headers) {
    begun_ = true;
    // To HTTP/1.0 the end of the connection is the end of the answer.
    stays_ = !old_ && parser_.is_done() && parser_.keep_alive();
    headers["Content-Type"] = content_type;
    last_write_ = Clock::now();
    if (!old_) headers["Transfer-Encoding"] = "chunked";
    co_return co_await put(head_of(status, std::move(headers)));
}

Task<Result<void>> HttpExchange::write(std::string_view piece) {
    if (piece.empty()) co_return Result<void>();  // an empty chunk would end the stream
    last_write_ = Clock::now();
    if (old_) co_return co_await put(std::string(piece));
    std::string chunk = fmt::format("{:x}\r\n", piece.size());
    chunk.reserve(chunk.size() + piece.size() + 2);
    chunk.append(piece).append("\r\n");
    co_return co_await put(std::move(chunk));
}

Task<Result<void>> HttpExchange::end() {
    if (!old_) CO_TRY(co_await put("0\r\n\r\n"));
    finished_ = true;
    co_return Result<void>();
}

Task<> HttpExchange::client_gone() {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    co_await until_gone(wire_, buffer_);
    if (cancellation.cancelled() == asio::cancellation_type::none) left_ = true;
}

Task<> HttpExchange::say_working() {
    if (!begun_ && !old_ && !turn_->taken) (void)co_await put("HTTP/1.1 102 Processing\r\n\r\n");
}

Task<> HttpExchange::settled() {
    while (turn_->taken) co_await turn_->freed.wait();
}

Task<Result<std::unique_ptr<Socket>>> HttpExchange::upgrade() {
    if (!is_web_socket(request_)) co_return invalid("this call is a WebSocket: send an upgrade request");
    upgraded_ = begun_ = true;
    co_return co_await open_web_socket(std::move(wire_), request_, patience_);
}

Task<> HttpExchange::send(Response response, Stay stay) {
    if (response.rest) co_return co_await send_in_pieces(std::move(response));
    begun_ = true;
    // An unread body would be taken for the next request. keep_alive() may be asked only after the header.
    stays_ = stay == Stay::kYes && parser_.is_done() && parser_.keep_alive();
    auto headers = response.headers;
    headers["Content-Type"] = response.content_type;
    headers["Content-Length"] = std::to_string(response.body.size());
    std::string bytes = head_of(response.status, std::move(headers));
    // Of an answer to HEAD the length stays, and the body does not (RFC 9110, 9.3.2).
    const std::string_view body = parser_.get().method() == http::verb::head ? "" : std::string_view(response.body);
    const bool together = body.size() <= kMostTogether;
    if (together) bytes += body;
    auto sent = co_await put(std::move(bytes));
    if (sent.ok() && !together) sent = co_await wire_.write(body, patience_.answer);
    finished_ = sent.ok();
}

Task<> HttpExchange::send_in_pieces(Response response) {
    const auto begun = co_await begin(response.status, response.content_type, std::move(response.headers));
    if (begun.ok()) (void)co_await finish(std::move(response));
}

// Each piece is made on another thread when the client has taken the one before; so is what was made from given back.
Task<Result<void>> HttpExchange::finish(Response response) {
    auto sent = co_await write(response.body);
    if (!response.rest) {
        if (sent.ok()) sent = co_await end();
        co_return sent;
    }
    std::string piece;
    do {
        if (sent.ok()) piece = co_await decoders_.run(std::ref(response.rest));
        if (sent.ok() && !piece.empty()) sent = co_await write(piece);
    } while (sent.ok() && !piece.empty());
    if (sent.ok()) sent = co_await end();
    const auto give_back = [&response] {
        response.rest = nullptr;
        return true;
    };
    co_await decoders_.run(give_back);
    co_return sent;
}

// After a write that failed the next would hang: Asio waits for a change of the socket before it tries again
// (epoll_reactor, done_and_exhausted), and after the hang-up none comes.
Task<Result<void>> HttpExchange::put(std::string bytes) {
    co_await settled();
    if (broken_) co_return *broken_;
    turn_->taken = true;
    const Undo done([turn = turn_] {
        turn->taken = false;
        turn->freed.notify();
    });
    auto written = co_await wire_.write(bytes, patience_.answer);
    if (!written.ok()) broken_ = written.error();
    left_ = left_ || !written.ok();
    co_return written;
}

}  // namespace hutch::daemon
