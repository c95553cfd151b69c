#include "netns/dns_socket.h"

#include <sys/random.h>
#include <sys/socket.h>

namespace hutch::netns {

Result<UniqueFd> gateway_socket(int type, Ipv4 gateway, uint16_t port) {
    const std::string what = "listening at " + to_string(gateway) + " port " + std::to_string(port);
    UniqueFd socket(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return errno_error(what);
    const int on = 1;
    const sockaddr_in name = socket_address(gateway, port);
    if (setsockopt(socket.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) != 0 ||
        // Or connections of the last daemon that are still dying keep this one away (not for UDP: two could share).
        (type == SOCK_STREAM && setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
        (type == SOCK_STREAM && listen(socket.get(), SOMAXCONN) != 0)) {
        return errno_error(what);
    }
    return socket;
}

Result<UniqueFd> upstream_socket(int type, const Upstream& server) {
    UniqueFd socket(::socket(server.name()->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return errno_error("making a socket to a name server");
    if (connect(socket.get(), server.name(), server.length) != 0 && errno != EINPROGRESS) {
        return errno_error("connecting to a name server");
    }
    return socket;
}

std::optional<uint16_t> random_dns_id() {
    uint16_t id = 0;
    if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != static_cast<ssize_t>(sizeof(id))) return std::nullopt;
    return id;
}

}  // namespace hutch::netns
