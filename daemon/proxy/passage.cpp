#include "daemon/proxy/passage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/unique_fd.h"
#include "daemon/api/head_bytes.h"
#include "daemon/event.h"
#include "daemon/log.h"
#include "daemon/proxy/carry.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

namespace http = boost::beast::http;

constexpr std::chrono::hours kAnswerPatience{1};   // for the head of an answer: a use keeps a box awake
constexpr size_t kServerBufferLimit = 256 * 1024;  // of an answer that is not parsed yet
constexpr size_t kMostAnswerHead = 64 * 1024;
constexpr size_t kAnswerHeadPiece = 4 * 1024;
constexpr size_t kMostInterim = 16;         // answers that only say that another follows
constexpr size_t kWorthAPipe = 256 * 1024;  // of an answer that is still to come
constexpr size_t kPipeBytes = 512 * 1024;

BodyFraming framing_of_request(const Passage::RequestParser& request) {
    if (request.chunked()) return {BodyFraming::Kind::kChunked};
    const auto length = request.content_length();
    if (!length) return {};
    return {*length == 0 ? BodyFraming::Kind::kNone : BodyFraming::Kind::kLength, *length, true};
}

// None where there is no descriptor left: then bytes come by here.
std::optional<std::array<UniqueFd, 2>> open_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
    std::array<UniqueFd, 2> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    (void)fcntl(pipe[1].get(), F_SETPIPE_SZ, static_cast<int>(kPipeBytes));  // a smaller one serves, too
    return pipe;
}

}  // namespace

std::string chunk_of(std::string_view piece) {
    std::string chunk = fmt::format("{:x}\r\n", piece.size());
    chunk.reserve(chunk.size() + piece.size() + 2);
    return chunk.append(piece).append("\r\n");
}

std::string refusal_text(const Refused& refused, unsigned version, bool head, bool stays) {
    const auto reason = http::obsolete_reason(static_cast<http::status>(refused.status));
    const std::string body = refused.sentence + "\n";
    return fmt::format(
        "HTTP/1.{} {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: "
        "no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n{}Connection: {}\r\n\r\n{}",
        version < 11 ? 0 : 1, refused.status, std::string_view(reason.data(), reason.size()), body.size(),
        refused.fields, stays ? "keep-alive" : "close", head ? "" : body);
}

Passage::Passage(Ends ends, bool web_socket)
    : ends_(ends),
      web_socket_(web_socket),
      framing_(framing_of_request(ends_.request)),
      pace_(ends_.patience.body),
      body_(ends_.client, ends_.unread, ends_.request, framing_, &pace_),
      from_server_(kServerBufferLimit) {}

Error Passage::no_answer(const std::string& what) const {
    return {ErrorKind::kSystem, EPROTO, ends_.far.name() + " " + what + "."};
}

Task<std::optional<Passage::End>> Passage::connect() {
    auto connected = co_await unless(until_gone(ends_.client, ends_.unread), ends_.far.connect());
    if (!connected) co_return End::with_client_gone();
    if (!connected->ok()) co_return End(ends_.far.refusal_of(connected->error()));
    server_.emplace(std::move(*connected).value());
    co_return std::nullopt;
}

// The server has the head of the request, or this is the end. `anew`: by no connection that was kept.
Task<std::optional<Passage::End>> Passage::enter(bool anew) {
    server_.reset();
    if (!anew) server_ = ends_.far.kept();
    reused_ = server_.has_value();
    if (!reused_) {
        auto end = co_await connect();
        if (end) co_return end;
    }
    const std::string begin = ends_.far.head_of(ends_.request.get(), framing_);
    auto sent = co_await put(begin);
    if (!sent.ok() && std::exchange(reused_, false)) {
        auto end = co_await connect();
        if (end) co_return end;
        sent = co_await put(begin);
    }
    if (!sent.ok()) co_return End(Refused(502, ends_.far.name() + " took no request."));
    sent_ = body_.done();
    const auto& head = ends_.request.get();
    if (!body_.done() && head.version() == 11 && !head[http::field::expect].empty()) {
        (void)co_await ends_.client.write("HTTP/1.1 100 Continue\r\n\r\n", ends_.patience.answer);
    }
    co_return std::nullopt;
}

Task<Passage::End> Passage::go(std::function<void()> untied) {
    untied_ = std::move(untied);
    for (bool anew = false;; anew = true) {
        auto end = co_await enter(anew);
        if (end) co_return *std::move(end);
        if (web_socket_) co_return co_await go_by_web_socket();
        const auto answered = co_await unless(upload(), answer());
        if (!answered || answered->ok() || !met_a_closed_one()) {
            leave();
            co_return end_of(answered);
        }
    }
}

// The server has closed a connection just as it got another request, which it has not looked at then. Said again is
// what may be said twice, and nothing of which was read from the client and is gone.
bool Passage::met_a_closed_one() const {
    static constexpr http::verb kRepeatable[] = {http::verb::get, http::verb::head, http::verb::options,
                                                 http::verb::put, http::verb::delete_};
    const http::verb method = ends_.request.get().method();
    return reused_ && !came_ && framing_.kind == BodyFraming::Kind::kNone &&
           std::find(std::begin(kRepeatable), std::end(kRepeatable), method) != std::end(kRepeatable);
}

void Passage::leave() {
    const bool over = finished_ && sent_ && from_server_.size() == 0;
    const bool framed = answer_framing_.kind != BodyFraming::Kind::kToEnd;
    if (over && framed && answer_->keep_alive()) ends_.far.keep(*server_);
}

Passage::End Passage::end_of(const std::optional<Result<void>>& answered) const {
    End end;
    end.stays = begun_ && stays_ && finished_;
    end.gone = begun_ && !finished_;
    if (begun_) return end;
    if (late_) return End(Refused(504, ends_.far.name() + " began no answer within an hour."));
    if (answered && !answered->ok()) return End(Refused(502, answered->error().message));
    if (bad_body_ && bad_body_->kind == ErrorKind::kInvalid) return End(Refused(400, bad_body_->message));
    if (bad_body_ && bad_body_->kind == ErrorKind::kTimeout) return End(Refused(408, "body: came too slowly"));
    return End::with_client_gone();
}

// --- to the server ---

Task<Result<void>> Passage::put(std::string_view bytes) {
    CO_TRY(co_await ends_.far.ready());
    CO_TRY(co_await server_->write(bytes, ends_.patience.answer));
    ends_.far.count(bytes.size(), 0);
    co_return Result<void>();
}

// Ends when the client has left, which is noticed though the server takes nothing of what it has sent, or when the
// answer is not waited for any more. A server that takes no more may still answer.
Task<> Passage::upload() {
    if (!body_.done()) {
        const auto passed = co_await unless(ends_.client.hung_up(), pass_in());
        if (!passed || bad_body_) co_return;
    }
    co_await given_up();
}

Task<Result<void>> Passage::pass_in() {
    const bool chunked = framing_.kind == BodyFraming::Kind::kChunked;
    while (!body_.done()) {
        const auto piece = co_await body_.next();
        if (!piece.ok()) {
            bad_body_ = piece.error();
            co_return Result<void>();
        }
        if (piece.value().empty()) break;
        const std::string chunk = chunked ? chunk_of(piece.value()) : "";
        const std::string_view bytes = chunked ? std::string_view(chunk) : piece.value();
        CO_TRY(co_await put(bytes));
    }
    if (chunked) CO_TRY(co_await put(kLastChunk));
    sent_ = true;
    co_return Result<void>();
}

// The client has left, or has said its last word so long ago and the head of the answer is not there.
Task<> Passage::given_up() {
    const auto too_late = [this]() -> Task<> {
        asio::steady_timer limit(co_await asio::this_coro::executor, kAnswerPatience);
        const auto [cancelled] = co_await limit.async_wait(kAwait);
        late_ = !cancelled && !heard_;
        if (!cancelled && !late_) co_await for_ever();
    };
    co_await ends_before(until_gone(ends_.client, ends_.unread), too_late());
}

// --- and back ---

Task<Result<void>> Passage::read_head() {
    for (size_t heads = 0; heads < kMostInterim; ++heads) {
        answer_.emplace();
        answer_->header_limit(kMostAnswerHead);
        answer_->body_limit(boost::none);
        answer_->skip(ends_.request.get().method() == http::verb::head);
        bool starved = from_server_.size() == 0;
        while (!answer_->is_header_done()) {
            if (starved) {
                const auto came = co_await receive(*server_, from_server_, kAnswerHeadPiece, Wire::kForever);
                if (!came.ok() || came.value() == 0) co_return no_answer("ended the connection without an answer");
                came_ = true;
            }
            boost::beast::error_code failed;
            from_server_.consume(answer_->put(from_server_.data(), failed));
            starved = true;
            if (failed && failed != http::error::need_more) co_return no_answer("answered with what is no HTTP");
        }
        if (answer_->get().result_int() >= 200 || is_web_socket_answer(answer_->get())) co_return understand_head();
    }
    co_return no_answer("answered with what is no HTTP");
}

// Where the end of an answer is must not be a matter of opinion, nor what a client has not asked for.
Result<void> Passage::understand_head() {
    const auto& head = answer_->get();
    const bool coded = head.count(http::field::transfer_encoding) > 0;
    if (head.count(http::field::content_length) > (coded ? 0 : 1)) return no_answer("answered with two lengths");
    if (coded && (!answer_->chunked() || head.count(http::field::transfer_encoding) > 1 || head.version() < 11 ||
                  lower(std::string_view(head[http::field::transfer_encoding])) != "chunked")) {
        return no_answer("answered in a Transfer-Encoding that is not chunked");
    }
    if (head.result() == http::status::switching_protocols && !web_socket_) {
        return no_answer("changed to a protocol that nobody asked for");
    }
    const auto length = answer_->content_length();
    const bool bodiless = ends_.request.get().method() == http::verb::head ||
                          head.result() == http::status::no_content || head.result() == http::status::not_modified;
    const bool old = ends_.request.get().version() < 11;
    if (bodiless) {
        answer_framing_ = {BodyFraming::Kind::kNone, length.value_or(0),
                           length.has_value() && head.result() != http::status::no_content};
    } else if (length) {
        answer_framing_ = {*length == 0 ? BodyFraming::Kind::kNone : BodyFraming::Kind::kLength, *length, true};
    } else {
        answer_framing_ = {answer_->chunked() ? BodyFraming::Kind::kChunked : BodyFraming::Kind::kToEnd};
    }
    const bool unknown = !bodiless && !length;
    stays_ = ends_.request.keep_alive() && body_.done() && !(old && unknown);
    return {};
}

Task<Result<void>> Passage::answer() {
    CO_TRY(co_await read_head());
    co_return co_await send_answer();
}

Task<Result<void>> Passage::send_answer() {
    heard_ = true;
    ends_.far.answers();
    if (answer_->get()[http::field::content_type].starts_with("text/event-stream")) untied_();
    const unsigned version = ends_.request.get().version();
    Body<false> body(*server_, from_server_, *answer_, answer_framing_, nullptr);
    BodyFraming out = answer_framing_;
    const bool framed = out.kind == BodyFraming::Kind::kChunked || out.kind == BodyFraming::Kind::kToEnd;
    if (framed) out.kind = version < 11 ? BodyFraming::Kind::kToEnd : BodyFraming::Kind::kChunked;
    const bool chunked = out.kind == BodyFraming::Kind::kChunked;
    std::string bytes = head_to_client(answer_->get(), out, version, stays_);
    if (body.waits()) {
        CO_TRY_LET(const auto piece, co_await body.next());
        if (!piece.empty()) bytes += chunked ? chunk_of(piece) : std::string(piece);
    }
    begun_ = true;
    CO_TRY(co_await ends_.client.write(bytes, ends_.patience.answer));
    ends_.far.count(0, bytes.size());
    const bool clear = ends_.client.is_clear() && body.to_come() >= kWorthAPipe;
    std::optional<std::array<UniqueFd, 2>> pipe;
    if (clear) pipe = open_pipe();
    if (pipe) {
        const Wire::Pipe through{(*pipe)[0].get(), (*pipe)[1].get()};
        CO_TRY(co_await pass_on(body, through));
    }
    for (;;) {
        CO_TRY_LET(const auto piece, co_await body.next());
        if (piece.empty()) break;
        if (chunked) {
            CO_TRY(co_await ends_.client.write(chunk_of(piece), ends_.patience.answer));
        } else {
            CO_TRY(co_await ends_.client.write(piece, ends_.patience.answer));
        }
        ends_.far.count(0, piece.size());
    }
    if (chunked) CO_TRY(co_await ends_.client.write(kLastChunk, ends_.patience.answer));
    finished_ = true;
    co_return Result<void>();
}

// Half of the copying is saved: of a download, most of what it costs here.
Task<Result<void>> Passage::pass_on(Body<false>& body, Wire::Pipe pipe) {
    while (body.to_come() > 0) {
        const auto most = static_cast<size_t>(std::min<uint64_t>(kPipeBytes, body.to_come()));
        CO_TRY_LET(const size_t size, co_await server_->pass_on(ends_.client, pipe, most, ends_.patience.answer));
        if (size == 0) co_return no_answer("ended its answer before its length");
        body.taken(size);
        ends_.far.count(0, size);
    }
    co_return Result<void>();
}

// --- both ways ---

Task<Passage::End> Passage::go_by_web_socket() {
    const auto head = co_await unless(given_up(), read_head());
    if (!head || !head->ok()) co_return end_of(head);
    if (!is_web_socket_answer(answer_->get())) {
        const auto answered = co_await unless(until_gone(ends_.client, ends_.unread), send_answer());
        co_return end_of(answered);
    }
    heard_ = true;
    ends_.far.answers();
    untied_();
    const std::string reply = head_to_client(answer_->get(), {}, 11, true);
    const auto text_of = [](boost::beast::flat_buffer& buffer) {
        std::string text(static_cast<const char*>(buffer.data().data()), buffer.size());
        buffer = boost::beast::flat_buffer(buffer.max_size());  // gives its memory back
        return text;
    };
    std::string to_client = reply + text_of(from_server_);
    std::string to_server = text_of(ends_.unread);
    answer_.reset();
    begun_ = true;
    co_await ends_before(carry_back(std::move(to_client)), carry_there(std::move(to_server)));
    co_return End();
}

Task<> Passage::carry_there(std::string begin) {
    Put put_there = [this](std::string_view bytes) { return put(bytes); };
    (void)co_await carry(ends_.client, std::move(begin), std::move(put_there));
}

Task<> Passage::carry_back(std::string begin) {
    Put put_back = [this](std::string_view bytes) { return give(bytes); };
    (void)co_await carry(*server_, std::move(begin), std::move(put_back));
}

Task<Result<void>> Passage::give(std::string_view bytes) {
    CO_TRY(co_await ends_.client.write(bytes, ends_.patience.answer));
    ends_.far.count(0, bytes.size());
    co_return Result<void>();
}

}  // namespace hutch::daemon
