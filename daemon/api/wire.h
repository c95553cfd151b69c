#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/api/patience.h"
#include "daemon/async.h"

namespace boost::asio::ssl {
class context;
}

namespace hutch::daemon {

/// Where a connection over TCP comes from.
struct Whence {
    std::string address;
    std::string network;  ///< whom a limit is for: the address, but of IPv6 its network, of which a host has all
};

/// One connection's bytes, in clear or by TLS, with a deadline for each wait. Event loop thread only.
class Wire {
  public:
    using Socket = asio::generic::stream_protocol::socket;
    using executor_type = asio::any_io_executor;
    using Moved = void(boost::system::error_code, size_t);
    static constexpr Millis kForever = Millis::max();

    /// `tls`: null for a connection in clear.
    Wire(Socket socket, std::shared_ptr<asio::ssl::context> tls);

    /// Of TLS; nothing to do in clear.
    Task<Result<void>> shake_hands(Millis patience);
    /// A connection in clear goes on by TLS: as the server, with what was read of the client's words already, or as the
    /// client of a host whose certificate must be its own by what `context` trusts.
    Task<Result<void>> accept_tls(std::shared_ptr<asio::ssl::context> context, std::string begun, Millis patience);
    Task<Result<void>> connect_tls(std::shared_ptr<asio::ssl::context> context, std::string host, Millis patience);
    /// What has come, at least a byte; 0 at the end of the client's stream. kTimeout.
    Task<Result<size_t>> read_some(void* into, size_t room, Millis patience);
    /// The same of a body, which is to come at that pace.
    Task<Result<size_t>> read_some(void* into, size_t room, Pace& pace);
    /// All of it. kTimeout when the client takes nothing for that long: from then on nothing can be written.
    Task<Result<void>> write(std::string_view data, Millis patience);
    /// Not by TLS.
    [[nodiscard]] bool is_clear() const;
    /// What has come, at least a byte and at most `most`, goes on to another connection within the kernel, through an
    /// empty pipe (splice(2)): both are in clear. 0 at the end of this one's stream. kTimeout when the other takes
    /// nothing for that long. After an error something may be left in the pipe.
    struct Pipe {
        int read_end;
        int write_end;
    };
    Task<Result<size_t>> pass_on(Wire to, Pipe pipe, size_t most, Millis patience);
    /// Nothing more will be written. What the client still sends is dropped until it has closed its side too, for at
    /// most `patience`: closing over bytes it has sent would reset the connection, and lose the last answer (RFC
    /// 9112, 9.6).
    Task<> say_farewell(Millis patience);
    /// What has come can still be read, and then the client's stream is at its end. Over TCP what comes later may yet
    /// be read, too.
    void hear_no_more();
    /// Done when the client has closed its side, though there is more to read before that.
    Task<> hung_up();
    /// In clear: nothing more will be written; what comes can still be read.
    void end_writing();
    /// Whether the end of this connection resets it, which the other side cannot take for the end of what was sent.
    void reset_at_end(bool resets);
    /// Ends the connection so, now, and every wait with an error.
    void reset();
    /// Ends every wait with an error.
    void break_off();
    /// Nothing has come that was not read, nor has the other side ended it.
    [[nodiscard]] bool is_quiet() const;
    /// What the other side's certificate says that it is called, of its DNS names the first; empty without one.
    [[nodiscard]] std::string peer_name() const;

    [[nodiscard]] executor_type get_executor();

    // As Beast's WebSocket wants a stream; it has deadlines of its own.
    template <typename Buffers, typename Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return asio::async_initiate<Token, Moved>(
            [this](auto handler, const Pieces<asio::mutable_buffer>& pieces) {
                start_reading(pieces, std::move(handler));
            },
            token, list<asio::mutable_buffer>(buffers));
    }
    template <typename Buffers, typename Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return asio::async_initiate<Token, Moved>(
            [this](auto handler, const Pieces<asio::const_buffer>& pieces) {
                start_writing(pieces, std::move(handler));
            },
            token, list<asio::const_buffer>(buffers));
    }

  private:
    template <typename Buffer>
    using Pieces = std::vector<Buffer>;
    template <typename Buffer, typename Buffers>
    static Pieces<Buffer> list(const Buffers& buffers) {
        return {asio::buffer_sequence_begin(buffers), asio::buffer_sequence_end(buffers)};
    }
    void start_reading(const Pieces<asio::mutable_buffer>& pieces, asio::any_completion_handler<Moved> handler);
    void start_writing(const Pieces<asio::const_buffer>& pieces, asio::any_completion_handler<Moved> handler);

    struct State;
    std::shared_ptr<State> state_;
};

/// Of a TCP connection: its small pieces go at once, and who has vanished at the other end is noticed.
void set_tcp_options(Wire::Socket& socket);

}  // namespace hutch::daemon
