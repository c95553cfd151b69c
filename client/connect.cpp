#include "client/connect.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

namespace hutch::client {
namespace asio = boost::asio;
namespace {

Error unreachable(const Host& host, const ErrorCode& code) {
    if (code == boost::system::errc::permission_denied) {
        return errno_error("opening " + host.text + " (run as root, or join the group that owns the socket)",
                           code.value());
    }
    const std::string how = host.kind == Host::Kind::kUnix
                                ? "start it with `systemctl start hutchd`, or run `hutchd` as root"
                                : "does it run there, and with `listen` set?";
    return Error{ErrorKind::kSystem, code.value(),
                 "no hutchd answers at " + host.text + " (" + code.message() + "); " + how};
}

Result<Socket> connect_unix(asio::io_context& io, const Host& host) {
    Socket socket(io);
    ErrorCode code;
    (void)socket.connect(asio::local::stream_protocol::endpoint(host.path), code);
    if (code) return unreachable(host, code);
    return socket;
}

Result<Socket> connect_tcp(asio::io_context& io, const Host& host) {
    ErrorCode code;
    const auto addresses = asio::ip::tcp::resolver(io).resolve(host.name, host.port, code);
    if (code) return unreachable(host, code);
    asio::ip::tcp::socket socket(io);
    (void)asio::connect(socket, addresses, code);
    if (code) return unreachable(host, code);
    // Keystrokes are small writes that must not wait for each other's acknowledgement.
    (void)socket.set_option(asio::ip::tcp::no_delay(true), code);
    return Socket(std::move(socket));
}

}  // namespace

Result<Connection> connect(asio::io_context& io, const Endpoint& endpoint) {
    const Host& host = endpoint.host;
    if (host.kind == Host::Kind::kUnix) return Connection(TRY(connect_unix(io, host)));
    Connection connection(TRY(connect_tcp(io, host)));
    if (host.tls) TRY(connection.secure(endpoint));
    return connection;
}

Error broken_off(const Host& host, const ErrorCode& code) {
    const bool clear = host.kind == Host::Kind::kTcp && !host.tls;
    return Error{ErrorKind::kSystem, 0,
                 "the daemon at " + host.text + " broke the connection off: " + code.message() +
                     (clear ? "; is it an https:// one?" : "")};
}

std::string host_header(const Host& host) {
    if (host.kind == Host::Kind::kUnix) return "localhost";
    const bool literal = host.name.find(':') != std::string::npos;
    return (literal ? "[" + host.name + "]" : host.name) + ":" + host.port;
}

}  // namespace hutch::client
