// A connection to a port of a box, on its own loopback, over a WebSocket: what a tunnel into the box is made of.
//   both: binary bytes     text {"eof": true}: no more bytes come from this side
// It is there, or refused by a status, before the handshake. It ends when both sides have said eof, when the client
// leaves, and when the box's side breaks off; then the WebSocket closes.

#include <sys/socket.h>

#include <boost/asio/write.hpp>

#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr size_t kPortPiece = size_t{64} << 10;
constexpr std::chrono::seconds kQueuePatience{10};  // of a server that accepts nobody now

Result<uint16_t> port_in_query(const Request& request) {
    const int64_t port = TRY(query_number(request, "port", 0, UINT16_MAX));
    if (port == 0) return invalid("port: must be a whole number from 1 to 65535");
    return static_cast<uint16_t>(port);
}

struct Tunnel {
    std::shared_ptr<Box> box;  ///< in use while this lives
    Previews& previews;        ///< count what passes
    Dialer::Socket port;
    std::unique_ptr<Socket> client;
    Event client_done;  ///< it sends no more
};

Task<Result<void>> put(Tunnel& tunnel, std::string_view bytes) {
    const auto write = [&]() -> Task<Result<void>> {
        const auto [failed, size] = co_await asio::async_write(tunnel.port, asio::buffer(bytes), kAwait);
        if (failed) co_return errno_error("writing to a port of a box", failed.value());
        co_return Result<void>();
    };
    // Meanwhile nothing is read of the client, and its end would not be seen.
    auto written = co_await unless(tunnel.client->hung_up(), write());
    if (!written) co_return client_left();
    tunnel.previews.count(*tunnel.box, bytes.size(), 0);
    co_return *std::move(written);
}

bool ends_bytes(const std::string& text) {
    const auto fields = Fields::parse(text);
    if (!fields.ok()) return false;
    const auto eof = fields.value().flag("eof");
    return eof.ok() && eof.value().value_or(false);
}

Task<> carry_into_box(Tunnel& tunnel) {
    for (;;) {
        const auto frame = co_await tunnel.client->read();
        if (!frame.ok()) co_return;
        if (!frame.value().text) {
            const auto done = co_await put(tunnel, frame.value().data);
            if (!done.ok()) co_return;
        } else if (ends_bytes(frame.value().data)) {
            boost::system::error_code ignored;
            tunnel.port.shutdown(asio::socket_base::shutdown_send, ignored);
            tunnel.client_done.set();
        }
    }
}

Task<> carry_out_of_box(Tunnel& tunnel) {
    const auto piece = std::make_unique_for_overwrite<char[]>(kPortPiece);
    for (;;) {
        const auto room = asio::buffer(piece.get(), kPortPiece);
        const auto [failed, size] = co_await tunnel.port.async_read_some(room, kAwait);
        if (failed == asio::error::eof) break;
        if (failed) co_return;
        const std::string_view bytes(piece.get(), size);
        const auto told = co_await tunnel.client->write(false, bytes);
        if (!told.ok()) co_return;
        tunnel.previews.count(*tunnel.box, 0, size);
    }
    const std::string eof = R"({"eof":true})";
    const auto told = co_await tunnel.client->write(true, eof);
    if (told.ok()) co_await tunnel.client_done.wait();
}

Task<Result<std::optional<Response>>> port_session(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const uint16_t port, port_in_query(exchange.request()));
    CO_TRY_LET(auto box, co_await awake_box(services, exchange, params));
    const auto deadline = Moment::clock::now() + kQueuePatience;
    auto connected = co_await services.dialer.dial(box, port, deadline, Dialer::Silence::kRefused);
    if (!connected.ok() && connected.error().kind == ErrorKind::kTimeout)
        co_return Error{ErrorKind::kConflict, 0, connected.error().message};
    CO_TRY_LET(auto inside, std::move(connected));
    CO_TRY_LET(auto client, co_await exchange.upgrade());
    const auto executor = box->executor();
    Tunnel tunnel{std::move(box), services.previews, std::move(inside), std::move(client), Event(executor)};
    const auto both = [&]() -> Task<> { co_await ends_before(carry_into_box(tunnel), carry_out_of_box(tunnel)); };
    co_await ends_before(both(), services.events.closing());
    co_return std::optional<Response>();
}

}  // namespace

void add_port_session_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/port-session", with(services, port_session));
}

}  // namespace hutch::daemon
