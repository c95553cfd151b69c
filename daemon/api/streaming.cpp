#include "daemon/api/streaming.h"

#include "daemon/api/quiet.h"
#include "daemon/api/resources.h"

namespace hutch::daemon {
namespace {

bool takes_gzip(const Request& request) {
    const std::string accepted = request.header("accept-encoding");
    return accepted.find("gzip") != std::string::npos && accepted.find("gzip;q=0") == std::string::npos;
}

std::string frame(Frame of, std::string_view piece) {
    const auto size = static_cast<uint32_t>(piece.size());
    std::string framed;
    framed.reserve(5 + piece.size());
    framed += static_cast<char>(of);
    for (const unsigned shift : {24U, 16U, 8U, 0U}) framed += static_cast<char>(size >> shift);
    return framed.append(piece);
}

}  // namespace

Streaming::Streaming(Exchange& exchange, Form form)
    : exchange_(exchange), form_(form), packed_(form == Form::kPlain && takes_gzip(exchange.request())) {}

Task<Result<void>> Streaming::begin(std::map<std::string, std::string> headers) {
    if (packed_) headers["Content-Encoding"] = "gzip";
    const bool framed = form_ == Form::kFrames;
    CO_TRY(co_await exchange_.begin(200, framed ? "application/vnd.hutch.frames" : "text/event-stream", headers));
    if (packed_) CO_TRY(co_await exchange_.write(StoredGzip::head()));
    co_return Result<void>();
}

Sink Streaming::sink(Frame of) {
    return [this, of](std::string_view piece) { return write(of, piece); };
}

// Among plain bytes there are none that mean nothing.
Task<> Streaming::client_gone() {
    if (form_ == Form::kPlain && !packed_) co_return co_await exchange_.client_gone();
    co_await gone_or_beat(exchange_, [this] { return beat(); });
}

Task<Result<void>> Streaming::end(Result<Outcome> outcome) {
    const std::string last = last_words(outcome);
    CO_TRY(co_await write(Frame::kEnd, last));
    if (packed_) CO_TRY(co_await exchange_.write(gzip_.end()));
    co_return co_await exchange_.end();
}

std::string Streaming::last_words(const Result<Outcome>& outcome) const {
    const Json data = outcome.ok() ? outcome_json(outcome.value()) : error_json(outcome.error());
    if (form_ == Form::kFrames) return dump(data);
    return final_event(outcome.ok() ? "exit" : "error", data);
}

Task<Result<void>> Streaming::write(Frame of, std::string_view piece) {
    if (form_ == Form::kPlain && !packed_) co_return co_await exchange_.write(piece);
    const std::string bytes = packed_ ? gzip_.piece(piece) : frame(of, piece);
    co_return co_await exchange_.write(bytes);
}

Task<Result<void>> Streaming::beat() {
    const std::string bytes = packed_ ? StoredGzip::nothing() : frame(Frame::kQuiet, "");
    co_return co_await exchange_.write(bytes);
}

}  // namespace hutch::daemon
