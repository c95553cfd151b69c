#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>

#include "daemon/api/wire.h"
#include "daemon/proxy/heads.h"

namespace hutch::daemon {

/// The body behind a head that was parsed, piece by piece as it comes: what has come is asked for more only when the
/// last piece was passed on.
template <bool kIsRequest>
class Body {
  public:
    using Parser = boost::beast::http::parser<kIsRequest, boost::beast::http::buffer_body>;
    static constexpr size_t kPiece = 64 * 1024;

    /// `buffer`: what has come and is not used yet. `pace`: at which a client is to send it; null for a box, which may
    /// take its time. All of them outlive this.
    Body(Wire& wire, boost::beast::flat_buffer& buffer, Parser& parser, const BodyFraming& framing, Pace* pace)
        : wire_(wire), buffer_(buffer), parser_(parser), framing_(framing), pace_(pace), left_(framing.length) {}

    [[nodiscard]] bool done() const {
        if (framing_.kind == BodyFraming::Kind::kChunked) return parser_.is_done();
        return framing_.kind == BodyFraming::Kind::kNone || (framing_.kind == BodyFraming::Kind::kLength && left_ == 0);
    }
    /// Something has come already.
    [[nodiscard]] bool waits() const { return !done() && buffer_.size() > 0; }

    /// Bytes of a known length that are still to come from the wire, when none of them wait.
    [[nodiscard]] uint64_t to_come() const {
        return framing_.kind == BodyFraming::Kind::kLength && buffer_.size() == 0 ? left_ : 0;
    }
    /// So many of them were taken there by somebody else.
    void taken(size_t size) { left_ -= size; }

    /// The next piece, there until the next call; empty at the end. kInvalid for what is no body, kTimeout.
    Task<Result<std::string_view>> next() {
        if (bad_) co_return *bad_;
        if (done() || over_) co_return std::string_view();
        if (!piece_) piece_ = std::make_unique_for_overwrite<char[]>(kPiece);
        if (framing_.kind == BodyFraming::Kind::kChunked) co_return co_await next_of_chunks();
        const bool known = framing_.kind == BodyFraming::Kind::kLength;
        const size_t room = known ? static_cast<size_t>(std::min<uint64_t>(kPiece, left_)) : kPiece;
        size_t size = std::min(room, buffer_.size());
        if (size > 0) {
            memcpy(piece_.get(), buffer_.data().data(), size);
            buffer_.consume(size);
        } else {
            CO_TRY_LET(size, co_await read_some(piece_.get(), room));
        }
        if (size == 0 && known) co_return Error{ErrorKind::kSystem, ECONNRESET, "body: ended before its length"};
        over_ = size == 0;
        if (known) left_ -= size;
        co_return std::string_view(piece_.get(), size);
    }

  private:
    Task<Result<size_t>> read_some(void* into, size_t room) {
        if (pace_ == nullptr) co_return co_await wire_.read_some(into, room, Wire::kForever);
        co_return co_await wire_.read_some(into, room, *pace_);
    }

    // All that has come: who sends a chunk for each byte must not have each passed on by itself.
    Task<Result<std::string_view>> next_of_chunks() {
        namespace http = boost::beast::http;
        size_t size = 0;
        bool starved = buffer_.size() == 0;
        while (size < kPiece && !parser_.is_done() && !(starved && size > 0)) {
            if (starved) {
                if (buffer_.size() + kPiece > buffer_.max_size()) co_return invalid("body: a chunk's line has no end");
                const auto space = buffer_.prepare(kPiece);
                CO_TRY_LET(const size_t came, co_await read_some(space.data(), kPiece));
                if (came == 0) co_return Error{ErrorKind::kSystem, ECONNRESET, "body: ended before its last chunk"};
                buffer_.commit(came);
            }
            auto& body = parser_.get().body();
            body.data = piece_.get() + size;
            body.size = kPiece - size;
            body.more = true;
            boost::beast::error_code failed;
            buffer_.consume(parser_.put(buffer_.data(), failed));
            size = kPiece - body.size;
            starved = failed == http::error::need_more || buffer_.size() == 0;
            if (failed && failed != http::error::need_buffer && failed != http::error::need_more) {
                bad_ = invalid("body: " + failed.message());
                if (size == 0) co_return *bad_;
                break;  // what came before it is passed on
            }
        }
        co_return std::string_view(piece_.get(), size);
    }

    Wire& wire_;
    boost::beast::flat_buffer& buffer_;
    Parser& parser_;
    BodyFraming framing_;
    Pace* pace_;
    uint64_t left_;
    std::optional<Error> bad_;
    bool over_ = false;
    std::unique_ptr<char[]> piece_;
};

/// `piece` as it is written in that framing.
std::string chunk_of(std::string_view piece);
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace hutch::daemon
