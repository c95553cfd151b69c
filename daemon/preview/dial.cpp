#include "daemon/preview/dial.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "base/undo.h"
#include "daemon/event.h"
#include "daemon/spawn.h"
#include "netns/namespace.h"

namespace hutch::daemon {
namespace {

// The kernel tells nobody of a listen(2): socket diagnostics announce only the end of sockets (sock_diag(7)), and what
// would (tracing, BPF) asks for power that the daemon has given up. So a port is tried again, ever less often.
constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{500};

// What waits in our socket counts as nobody's but the host's. Of loopback, more than this makes nothing faster; the
// kernel doubles it for its own books (socket(7)).
constexpr int kSocketBytes = 256 * 1024;

// To an address of the host's own the handshake is over when connect(2) returns; where it is not, as many wait to be
// accepted as may: EAGAIN.
Result<UniqueFd> connect_now(in_addr_t address, uint16_t port) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return errno_error("making a socket inside a box");
    const int on = 1;
    (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (const int buffer : {SO_RCVBUF, SO_SNDBUF}) {
        (void)setsockopt(fd.get(), SOL_SOCKET, buffer, &kSocketBytes, sizeof(kSocketBytes));
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = address;
    int failure = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
        pollfd done{fd.get(), POLLOUT, 0};
        socklen_t size = sizeof(failure);
        if (poll(&done, 1, 0) != 1)
            failure = EAGAIN;
        else if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
            failure = errno;
    }
    if (failure != 0) return errno_error("connecting to a port of a box", failure);
    return fd;
}

Error nobody_listens(uint16_t port) {
    return {ErrorKind::kTimeout, ECONNREFUSED, fmt::format("Nothing listens on port {} of this box.", port)};
}

}  // namespace

// What is under way of it must come to its end, whoever waits for that.
Task<Result<void>> Dialer::wake(std::shared_ptr<Box> box) {
    if (box->alive() && !box->sleep() && !box->changing) co_return Result<void>();
    struct Waking {
        explicit Waking(const asio::any_io_executor& executor) : known(executor) {}
        Event known;
        Result<void> result = Error{ErrorKind::kSystem, 0, "waking a box ended by an exception"};
    };
    const auto outcome = std::make_shared<Waking>(boxes_.executor());
    const auto work = [this, box, outcome]() -> Task<> { outcome->result = co_await boxes_.wake(box); };
    spawn(boxes_.executor(), "waking box " + box->record.id + " for a public URL", work,
          [outcome](const Result<void>&) { outcome->known.set(); });
    co_await outcome->known.wait();
    co_return outcome->result;
}

Task<Result<UniqueFd>> Dialer::connect_inside(const Box& box, uint16_t port) {
    if (!box.alive()) co_return Error{ErrorKind::kConflict, ECONNREFUSED, "the box has stopped"};
    const UniqueFd init(fcntl(box.life().pidfd.get(), F_DUPFD_CLOEXEC, 0));  // the life may end meanwhile
    if (!init) co_return errno_error("keeping a handle of a box's init");
    const in_addr_t own = htonl(box.life().address.value);
    const auto connect_there = [&] {
        return netns::run_inside(init.get(), [own, port]() -> Result<UniqueFd> {
            auto connected = connect_now(htonl(INADDR_LOOPBACK), port);
            if (connected.ok() || connected.error().code != ECONNREFUSED) return connected;
            return connect_now(own, port);
        });
    };
    co_return co_await threads_.run_for(box.record.customer, connect_there);
}

Result<Dialer::Socket> Dialer::take_over(UniqueFd connection) {
    Socket socket(boxes_.executor());
    boost::system::error_code failed;
    socket.assign(asio::generic::stream_protocol(AF_INET, IPPROTO_TCP), connection.get(), failed);
    if (failed) return errno_error("using a connection to a box", failed.value());
    (void)connection.release();  // the socket's now
    return socket;
}

Task<Result<Dialer::Socket>> Dialer::dial(std::shared_ptr<Box> box, uint16_t port, Moment deadline, Silence silence) {
    const auto place = std::make_pair(box->record.id, port);
    bool waits = false;
    const Undo leave([&waits, &place, waiting = waiting_] {
        if (waits && --(*waiting)[place] == 0) waiting->erase(place);
    });
    asio::steady_timer timer(boxes_.executor());
    for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
        CO_TRY(co_await wake(box));
        auto connected = co_await connect_inside(*box, port);
        if (connected.ok()) co_return take_over(std::move(connected).value());
        const bool silent = connected.error().code == ECONNREFUSED;
        if (!silent && connected.error().code != EAGAIN) co_return std::move(connected).error();
        if (silent && silence == Silence::kRefused) co_return nobody_listens(port);
        if (!waits && (*waiting_)[place] >= kMostWaiting) {
            co_return Error{ErrorKind::kLimit, 0, "Too many wait for this port of the box: nothing listens there yet."};
        }
        if (!std::exchange(waits, true)) ++(*waiting_)[place];
        if (Moment::clock::now() >= deadline) co_return nobody_listens(port);
        timer.expires_at(std::min(deadline, Moment::clock::now() + pause));
        co_await timer.async_wait(kAwait);
    }
}

}  // namespace hutch::daemon
