#pragma once

// Only connect, http and session include this: it brings Asio in.

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "base/result.h"
#include "client/host.h"

namespace hutch::client {

using ErrorCode = boost::system::error_code;
/// One socket type for both kinds of host.
using Socket = boost::asio::generic::stream_protocol::socket;

/// The bytes to and from the daemon, in clear or by TLS: a stream as Beast wants one, with and without waiting.
class Connection {
  public:
    using executor_type = boost::asio::any_io_executor;
    using Moved = void(ErrorCode, size_t);

    explicit Connection(Socket socket);
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    ~Connection();

    /// By TLS from here on, if the certificate that is shown there is the host's and of a trusted issuer.
    Result<void> secure(const Endpoint& endpoint);
    [[nodiscard]] executor_type get_executor();
    /// What has come by now, which may be nothing.
    size_t read_ready(boost::asio::mutable_buffer into, ErrorCode& code);
    void break_off();

    template <typename Buffers>
    size_t read_some(const Buffers& buffers, ErrorCode& code) {
        return read(list<boost::asio::mutable_buffer>(buffers), code);
    }
    template <typename Buffers>
    size_t write_some(const Buffers& buffers, ErrorCode& code) {
        return write(list<boost::asio::const_buffer>(buffers), code);
    }
    // Beast wants these to be there, and never calls them.
    template <typename Buffers>
    size_t read_some(const Buffers& buffers);
    template <typename Buffers>
    size_t write_some(const Buffers& buffers);

    template <typename Buffers, typename Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, Moved>(
            [this](auto handler, const Pieces<boost::asio::mutable_buffer>& pieces) {
                start_reading(pieces, std::move(handler));
            },
            token, list<boost::asio::mutable_buffer>(buffers));
    }
    template <typename Buffers, typename Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, Moved>(
            [this](auto handler, const Pieces<boost::asio::const_buffer>& pieces) {
                start_writing(pieces, std::move(handler));
            },
            token, list<boost::asio::const_buffer>(buffers));
    }

  private:
    template <typename Buffer>
    using Pieces = std::vector<Buffer>;
    template <typename Buffer, typename Buffers>
    static Pieces<Buffer> list(const Buffers& buffers) {
        return {boost::asio::buffer_sequence_begin(buffers), boost::asio::buffer_sequence_end(buffers)};
    }
    size_t read(const Pieces<boost::asio::mutable_buffer>& pieces, ErrorCode& code);
    size_t write(const Pieces<boost::asio::const_buffer>& pieces, ErrorCode& code);
    void start_reading(const Pieces<boost::asio::mutable_buffer>& pieces,
                       boost::asio::any_completion_handler<Moved> handler);
    void start_writing(const Pieces<boost::asio::const_buffer>& pieces,
                       boost::asio::any_completion_handler<Moved> handler);

    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace hutch::client
