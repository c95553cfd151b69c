#include "daemon/api/wire.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>

#include "base/undo.h"
#include "base/unique_fd.h"
#include "daemon/event.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {

namespace ssl = asio::ssl;
using boost::system::error_code;

// What the kernel holds of a connection for a client that reads no more, or faster than we do: it grows these to
// megabytes of the host's memory, each, of which TCP has a share that all of it lives by (tcp(7), tcp_mem).
constexpr int kSendBytes = 256 * 1024;
constexpr int kReceiveBytes = 512 * 1024;

void set_tcp_options(Wire::Socket& socket) {
    error_code ignored;
    // A stream's small pieces must not wait for the client's delayed acknowledgement: 40 ms each.
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    // Who has vanished without a word is noticed, in about two minutes, though there is nothing to be said to it.
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    socket.set_option(asio::socket_base::send_buffer_size(kSendBytes), ignored);
    socket.set_option(asio::socket_base::receive_buffer_size(kReceiveBytes), ignored);
    for (const auto& [option, value] : {std::pair(TCP_KEEPIDLE, 60), {TCP_KEEPINTVL, 15}, {TCP_KEEPCNT, 4}}) {
        (void)setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value));
    }
}

struct Wire::State : std::enable_shared_from_this<Wire::State> {
    State(Socket its_socket, std::shared_ptr<ssl::context> its_tls)
        : socket(std::move(its_socket)),
          context(std::move(its_tls)),
          reading(socket.get_executor()),
          writing(socket.get_executor()) {
        if (context) tls.emplace(socket, *context);
    }

    Socket socket;
    std::shared_ptr<ssl::context> context;  ///< of this connection, whatever certificate the next ones get
    std::optional<ssl::stream<Socket&>> tls;
    /// Of waits in one direction.
    struct Deadline {
        explicit Deadline(const asio::any_io_executor& executor) : alarm(executor) {}
        asio::steady_timer alarm;
        uint64_t turn = 0;  ///< of the alarm: one that rang while its wait came to an end must not end the next
        bool late = false;
    };
    Deadline reading, writing;

    /// One wait with a deadline at a time in each direction. What goes on in the other ends with it if it is late.
    auto arm(Deadline State::*deadline, Millis patience) {
        const bool armed = patience != kForever;
        Deadline& its = this->*deadline;
        if (armed) {
            its.late = false;
            its.alarm.expires_after(patience);
            its.alarm.async_wait([self = shared_from_this(), deadline, mine = ++its.turn](const error_code& failed) {
                Deadline& rung = (*self).*deadline;
                if (failed || mine != rung.turn) return;
                rung.late = true;
                error_code ignored;
                self->socket.cancel(ignored);
            });
        }
        return Undo([&its, armed] {
            if (!armed) return;
            ++its.turn;
            its.alarm.cancel();
        });
    }

    [[nodiscard]] static Error failure(const Deadline& deadline, const error_code& code) {
        if (deadline.late) return {ErrorKind::kTimeout, ETIMEDOUT, "client: too slow"};
        return {ErrorKind::kSystem, ECONNRESET, "client: " + code.message()};
    }
};

Wire::Wire(Socket socket, std::shared_ptr<ssl::context> tls)
    : state_(std::make_shared<State>(std::move(socket), std::move(tls))) {}

Wire::executor_type Wire::get_executor() {
    return state_->socket.get_executor();
}

Task<Result<void>> Wire::shake_hands(Millis patience) {
    const auto state = state_;
    if (!state->tls) co_return Result<void>();
    const auto deadline = state->arm(&State::reading, patience);
    const auto [failed] = co_await state->tls->async_handshake(ssl::stream_base::server, kAwait);
    if (failed) co_return State::failure(state->reading, failed);
    co_return Result<void>();
}

Task<Result<void>> Wire::accept_tls(std::shared_ptr<ssl::context> context, std::string begun, Millis patience) {
    const auto state = state_;
    state->context = std::move(context);
    state->tls.emplace(state->socket, *state->context);
    const auto deadline = state->arm(&State::reading, patience);
    const auto [failed, used] =
        co_await state->tls->async_handshake(ssl::stream_base::server, asio::buffer(begun), kAwait);
    if (failed) co_return State::failure(state->reading, failed);
    co_return Result<void>();
}

Task<Result<void>> Wire::connect_tls(std::shared_ptr<ssl::context> context, std::string host, Millis patience) {
    const auto state = state_;
    state->context = std::move(context);
    state->tls.emplace(state->socket, *state->context);
    SSL* const native = state->tls->native_handle();
    SSL_set_hostflags(native, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(native, host.c_str()) != 1 || SSL_set_tlsext_host_name(native, host.c_str()) != 1) {
        co_return errno_error("TLS with " + host, ENOMEM);
    }
    const auto deadline = state->arm(&State::reading, patience);
    const auto [failed] = co_await state->tls->async_handshake(ssl::stream_base::client, kAwait);
    const long verified = SSL_get_verify_result(native);
    if (failed && verified != X509_V_OK) {
        co_return Error{ErrorKind::kSystem, EPROTO, X509_verify_cert_error_string(verified)};
    }
    if (failed) co_return State::failure(state->reading, failed);
    co_return Result<void>();
}

Task<Result<size_t>> Wire::read_some(void* into, size_t room, Millis patience) {
    const auto state = state_;
    const auto deadline = state->arm(&State::reading, patience);
    error_code failed;
    size_t size = 0;
    if (state->tls) {
        std::tie(failed, size) = co_await state->tls->async_read_some(asio::buffer(into, room), kAwait);
    } else {
        std::tie(failed, size) = co_await state->socket.async_read_some(asio::buffer(into, room), kAwait);
    }
    // Who ends TLS without saying so has ended: lengths and last chunks tell whether something is missing.
    if (failed == asio::error::eof || failed == ssl::error::stream_truncated) co_return size_t{0};
    if (failed) co_return State::failure(state->reading, failed);
    co_return size;
}

Task<Result<size_t>> Wire::read_some(void* into, size_t room, Pace& pace) {
    const auto begin = std::chrono::steady_clock::now();
    CO_TRY_LET(const size_t size, co_await read_some(into, room, pace.left()));
    pace.add(std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - begin), size);
    if (size > 0 && pace.left() == Millis::zero()) {
        co_return Error{ErrorKind::kTimeout, ETIMEDOUT, "client: too slow"};
    }
    co_return size;
}

Task<Result<void>> Wire::write(std::string_view data, Millis patience) {
    const auto state = state_;
    while (!data.empty()) {
        const auto deadline = state->arm(&State::writing, patience);
        error_code failed;
        size_t size = 0;
        if (state->tls) {
            std::tie(failed, size) = co_await state->tls->async_write_some(asio::buffer(data), kAwait);
        } else {
            std::tie(failed, size) = co_await state->socket.async_write_some(asio::buffer(data), kAwait);
        }
        if (failed) co_return State::failure(state->writing, failed);
        data.remove_prefix(size);
    }
    co_return Result<void>();
}

bool Wire::is_clear() const {
    return !state_->tls;
}

Task<Result<size_t>> Wire::pass_on(Wire to, Pipe pipe, size_t most, Millis patience) {
    constexpr unsigned kHow = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    const auto from = state_;
    const auto into = to.state_;
    ssize_t came = -1;
    while (came < 0) {
        const auto [failed] = co_await from->socket.async_wait(asio::socket_base::wait_read, kAwait);
        if (failed) co_return State::failure(from->reading, failed);
        came = splice(from->socket.native_handle(), nullptr, pipe.write_end, nullptr, most, kHow);
        if (came < 0 && errno != EAGAIN && errno != EINTR) co_return errno_error("passing on what comes");
    }
    for (ssize_t left = came; left > 0;) {
        const ssize_t sent =
            splice(pipe.read_end, nullptr, into->socket.native_handle(), nullptr, static_cast<size_t>(left), kHow);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) co_return errno_error("passing on what comes");
        if (sent > 0) left -= sent;
        if (sent > 0) continue;
        const auto deadline = into->arm(&State::writing, patience);
        const auto [failed] = co_await into->socket.async_wait(asio::socket_base::wait_write, kAwait);
        if (failed) co_return State::failure(into->writing, failed);
    }
    co_return static_cast<size_t>(came);
}

Task<> Wire::say_farewell(Millis patience) {
    const auto state = state_;
    const auto deadline = state->arm(&State::reading, patience);
    error_code ignored;
    if (state->tls) co_await state->tls->async_shutdown(kAwait);
    state->socket.shutdown(asio::socket_base::shutdown_send, ignored);
    std::string dropped(4096, '\0');
    while (!state->reading.late) {
        const auto [failed, size] = co_await state->socket.async_read_some(asio::buffer(dropped), kAwait);
        if (failed) co_return;
    }
}

void Wire::hear_no_more() {
    error_code ignored;
    state_->socket.shutdown(asio::socket_base::shutdown_receive, ignored);
}

// Asio does not wait for EPOLLRDHUP (epoll_ctl(2)), which an epoll instance of our own does: that is readable then.
Task<> Wire::hung_up() {
    const UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLRDHUP, .data = {}};
    if (!poll || epoll_ctl(poll.get(), EPOLL_CTL_ADD, state_->socket.native_handle(), &event) != 0) {
        co_return co_await for_ever();  // it cannot be learnt
    }
    FdWatch watch(get_executor(), poll.get());
    co_await watch.readable();
}

void Wire::end_writing() {
    error_code ignored;
    state_->socket.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Wire::reset_at_end(bool resets) {
    // Not by Asio, whose sockets take it back at their end.
    const linger how{.l_onoff = resets ? 1 : 0, .l_linger = 0};
    (void)setsockopt(state_->socket.native_handle(), SOL_SOCKET, SO_LINGER, &how, sizeof(how));
}

void Wire::reset() {
    error_code ignored;
    reset_at_end(true);
    state_->socket.close(ignored);
}

void Wire::break_off() {
    error_code ignored;
    state_->socket.shutdown(asio::socket_base::shutdown_both, ignored);
    state_->socket.cancel(ignored);
}

bool Wire::is_quiet() const {
    char next = 0;
    const ssize_t came = recv(state_->socket.native_handle(), &next, 1, MSG_PEEK | MSG_DONTWAIT);
    return came < 0 && errno == EAGAIN;
}

std::string Wire::peer_name() const {
    if (!state_->tls) return "";
    const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(state_->tls->native_handle()),
                                                            X509_free);
    if (!shown) return "";
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(shown.get(), NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type != GEN_DNS) continue;
        const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
        return {text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))};
    }
    return "";
}

void Wire::start_reading(const Pieces<asio::mutable_buffer>& pieces, asio::any_completion_handler<Moved> handler) {
    if (state_->tls) {
        state_->tls->async_read_some(pieces, std::move(handler));
    } else {
        state_->socket.async_read_some(pieces, std::move(handler));
    }
}

void Wire::start_writing(const Pieces<asio::const_buffer>& pieces, asio::any_completion_handler<Moved> handler) {
    if (state_->tls) {
        state_->tls->async_write_some(pieces, std::move(handler));
    } else {
        state_->socket.async_write_some(pieces, std::move(handler));
    }
}

}  // namespace hutch::daemon
