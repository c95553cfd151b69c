#include "daemon/api/head_bytes.h"

#include <fmt/format.h>

#include <algorithm>

namespace hutch::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kFirstPiece = 1024;  // all of most heads: what an idle connection holds
constexpr size_t kHeadPiece = 4 * 1024;

Refusal too_slow(Millis limit) {
    return {408, fmt::format("request: its head was not whole after {} seconds", limit.count() / 1000)};
}

}  // namespace

Task<Result<size_t>> receive(Wire& wire, boost::beast::flat_buffer& buffer, size_t room, Millis patience) {
    const auto space = buffer.prepare(room);
    CO_TRY_LET(const size_t size, co_await wire.read_some(space.data(), space.size(), patience));
    buffer.commit(size);
    co_return size;
}

Task<HeadBytes> read_head_bytes(Wire& wire, boost::beast::flat_buffer& buffer, const Patience& patience,
                                std::function<void()> begun) {
    HeadScan scan;
    auto begin = Clock::now();
    for (;;) {
        const auto received = buffer.data();
        if (auto refusal = scan.look({static_cast<const char*>(received.data()), received.size()})) {
            co_return HeadBytes{0, std::move(refusal)};
        }
        if (scan.size() != 0) co_return HeadBytes{scan.size()};
        const bool idle = received.size() == 0;
        if (!idle) begun();
        const auto waited = std::chrono::duration_cast<Millis>(Clock::now() - begin);
        const Millis left = idle ? patience.idle : std::max(patience.head - waited, Millis::zero());
        const auto came = co_await receive(wire, buffer, idle ? kFirstPiece : kHeadPiece, left);
        if (!came.ok() && came.error().kind == ErrorKind::kTimeout && !idle) {
            co_return HeadBytes{0, too_slow(patience.head)};
        }
        if (!came.ok() || came.value() == 0) co_return HeadBytes{};
        if (idle) begin = Clock::now();
    }
}

Task<> until_gone(Wire& wire, boost::beast::flat_buffer& buffer) {
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    while (buffer.size() < HeadScan::kMostBytes) {
        const auto came = co_await receive(wire, buffer, kHeadPiece, Wire::kForever);
        if (cancellation.cancelled() != asio::cancellation_type::none) co_return;
        if (!came.ok() || came.value() == 0) co_return;
    }
    co_await wire.hung_up();
}

}  // namespace hutch::daemon
