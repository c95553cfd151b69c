#include "daemon/egress/dial.h"

#include <boost/asio/ip/tcp.hpp>

#include "daemon/spawn.h"

namespace hutch::daemon {

constexpr std::chrono::seconds kConnectPatience{30};

static Task<> wait_to_connect() {
    asio::steady_timer timer(co_await asio::this_coro::executor, kConnectPatience);
    co_await timer.async_wait(kAwait);
}

Task<Result<Wire>> connect_for_box(netns::Ipv4 address, uint16_t port) {
    using Tcp = asio::ip::tcp;
    Wire::Socket socket(co_await asio::this_coro::executor);
    const Tcp::endpoint to(asio::ip::address_v4(address.value), port);
    boost::system::error_code failed = asio::error::timed_out;
    const auto connecting = [&]() -> Task<> { std::tie(failed) = co_await socket.async_connect(to, kAwait); };
    co_await ends_before(connecting(), wait_to_connect());
    if (failed) co_return errno_error("connecting to " + to_string(address), failed.value());
    set_tcp_options(socket);
    Wire wire(std::move(socket), nullptr);
    wire.reset_at_end(true);
    co_return wire;
}

}  // namespace hutch::daemon
