#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <map>
#include <memory>

#include "daemon/box/manager.h"

namespace hutch::daemon {

/// Connections to ports inside boxes. A socket belongs to the network namespace it was made in, wherever it is used
/// (network_namespaces(7)): these are made inside the box's, so that they reach what listens on its loopback addresses,
/// no rule of either firewall is opened for them, and they reach nothing else. Event loop thread only.
class Dialer {
  public:
    using Socket = asio::generic::stream_protocol::socket;
    static constexpr size_t kMostWaiting = 64;  ///< for one port of a box

    explicit Dialer(Manager& boxes) : boxes_(boxes) {}

    /// Whether one waits for a port on which nothing listens yet; for one with a full queue one does.
    enum class Silence { kAwaited, kRefused };
    /// Wakes the box, and waits until something listens on the port of 127.0.0.1, or of the box's own address. kTimeout
    /// when nothing has until `deadline`; kLimit when too many wait for that port already. May be cancelled.
    Task<Result<Socket>> dial(std::shared_ptr<Box> box, uint16_t port, Moment deadline,
                              Silence silence = Silence::kAwaited);
    /// Sees to it that the box is awake, as Manager::wake, which must not be cancelled; this may be.
    Task<Result<void>> wake(std::shared_ptr<Box> box);

  private:
    Task<Result<UniqueFd>> connect_inside(const Box& box, uint16_t port);
    Result<Socket> take_over(UniqueFd connection);

    Manager& boxes_;
    Workers threads_{2};  ///< not those of boxes' making, behind which a request would wait
    /// How many wait, by the id of the box and the port. Theirs too: a coroutine that is never resumed is destroyed
    /// with the event loop, which may be after this.
    using Waiting = std::map<std::pair<std::string, uint16_t>, size_t>;
    std::shared_ptr<Waiting> waiting_ = std::make_shared<Waiting>();
};

}  // namespace hutch::daemon
