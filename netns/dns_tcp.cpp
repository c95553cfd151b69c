#include "netns/dns_tcp.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "netns/dns_message.h"

namespace hutch::netns {
namespace {

constexpr size_t kPiece = 4096;
constexpr size_t kMaxToUpstream = 16 << 10;
constexpr size_t kMaxToClient = 64 << 10;
constexpr size_t kLengthBytes = 2;
constexpr std::chrono::seconds kAcceptPause{1};

// Writes what the socket takes now. False when the other end is gone.
bool flush(int socket, std::string& data) {
    while (!data.empty()) {
        const ssize_t size = send(socket, data.data(), data.size(), MSG_NOSIGNAL);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        data.erase(0, static_cast<size_t>(size));
    }
    return true;
}

enum class Read { kSome, kNothing, kEnd };

Read read_piece(int socket, std::string& data) {
    std::array<char, kPiece> buffer;
    const ssize_t size = recv(socket, buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Read::kNothing;
    if (size <= 0) return Read::kEnd;
    data.append(buffer.data(), static_cast<size_t>(size));
    return Read::kSome;
}

}  // namespace

Result<void> DnsTcp::listen(uint16_t port) {
    socket_ = TRY(gateway_socket(SOCK_STREAM, clients_.gateway, port));
    return poller_.add(socket_.get(), EPOLLIN);
}

bool DnsTcp::on_ready(int fd, uint32_t events, Clock::time_point now) {
    if (fd == socket_.get()) {
        accept_clients(now);
        return true;
    }
    const auto found = by_socket_.find(fd);
    if (found == by_socket_.end()) return false;
    const Entry entry = found->second;
    if (fd == entry->client.get()) {
        on_client(*entry, events);
    } else {
        on_upstream(entry, events, now);
    }
    if (entry->connected || !entry->upstream) entry->deadline = now + kIdle;
    settle(entry, now);
    return true;
}

void DnsTcp::accept_clients(Clock::time_point now) {
    upstreams_.refresh();
    for (;;) {
        sockaddr_in name{};
        socklen_t length = sizeof(name);
        UniqueFd client(
            accept4(socket_.get(), reinterpret_cast<sockaddr*>(&name), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!client && (errno == EMFILE || errno == ENFILE)) {  // it stays readable: look away for a while
            poller_.change(socket_.get(), 0);
            resume_ = now + kAcceptPause;
        }
        if (!client) return;
        const Ipv4 box = address_of(name);
        if (!clients_.contains(box) || limit_.full(box)) continue;
        if (connections_.size() >= kMaxConnections && !make_room_for(box)) continue;
        if (!poller_.add(client.get(), EPOLLIN).ok()) continue;
        limit_.enter(box);
        connections_.push_back({});
        const Entry entry = std::prev(connections_.end());
        entry->client = std::move(client);
        entry->box = box;
        entry->turn = upstreams_.best();
        entry->last_turn = entry->turn + upstreams_.count();
        entry->deadline = now + kIdle;
        by_socket_.emplace(entry->client.get(), entry);
    }
}

bool DnsTcp::make_room_for(Ipv4 box) {
    const auto most = limit_.who_gives_way_to(box);
    if (!most) return false;
    Entry oldest = connections_.end();
    for (Entry entry = connections_.begin(); entry != connections_.end(); ++entry) {
        if (entry->box != *most) continue;
        if (oldest == connections_.end() || entry->deadline < oldest->deadline) oldest = entry;
    }
    close(oldest);
    return true;
}

void DnsTcp::on_client(Connection& connection, uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        connection.to_client.clear();
        connection.broken = true;
        return;
    }
    if ((events & EPOLLIN) != 0) read_client(connection);
}

void DnsTcp::read_client(Connection& connection) {
    const Read read = read_piece(connection.client.get(), connection.unread);
    if (read == Read::kEnd) connection.client_done = true;
    if (read == Read::kSome) take_queries(connection);
}

void DnsTcp::take_queries(Connection& connection) {
    std::string& unread = connection.unread;
    while (unread.size() >= kLengthBytes) {
        const size_t size =
            static_cast<size_t>(static_cast<unsigned char>(unread[0])) << 8 | static_cast<unsigned char>(unread[1]);
        if (size > kMaxDnsQuery) {
            connection.broken = true;
            return;
        }
        if (unread.size() < kLengthBytes + size) return;
        const auto query = parse_query(std::string_view(unread).substr(kLengthBytes, size));
        if (!query) {
            connection.broken = true;
            return;
        }
        // Asked for each: the connection may be older than the answer.
        if (clients_.judge.may_ask(connection.box) != MayAsk::kEverything) {
            if (clients_.watcher != nullptr) clients_.watcher->refused(connection.box, query->question);
            const std::string refused = refusal(std::string_view(unread).substr(kLengthBytes, size));
            connection.to_client += {static_cast<char>(refused.size() >> 8), static_cast<char>(refused.size())};
            connection.to_client += refused;
            connection.broken = true;
            return;
        }
        connection.to_upstream.append(unread, 0, kLengthBytes + size);
        unread.erase(0, kLengthBytes + size);
    }
}

void DnsTcp::on_upstream(Entry entry, uint32_t events, Clock::time_point now) {
    if (!entry->connected) {
        int failure = 0;
        socklen_t length = sizeof(failure);
        getsockopt(entry->upstream.get(), SOL_SOCKET, SO_ERROR, &failure, &length);
        if (failure != 0) return next_server(entry, now);
        entry->connected = true;
        upstreams_.answered(entry->turn);
        return;
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read_upstream(*entry);
}

void DnsTcp::read_upstream(Connection& connection) {
    if (read_piece(connection.upstream.get(), connection.to_client) == Read::kEnd) connection.broken = true;
}

void DnsTcp::next_server(Entry entry, Clock::time_point now) {
    close_upstream(*entry);
    ++entry->turn;
    connect_upstream(entry, now);
}

void DnsTcp::connect_upstream(Entry entry, Clock::time_point now) {
    for (; entry->turn != entry->last_turn; ++entry->turn) {
        auto socket = upstream_socket(SOCK_STREAM, upstreams_.at(entry->turn));
        if (!socket.ok() || !poller_.add(socket->get(), EPOLLOUT).ok()) continue;
        entry->upstream = std::move(*socket);
        entry->connected = false;
        entry->deadline = now + kDnsTry;
        by_socket_.emplace(entry->upstream.get(), entry);
        return;
    }
    entry->broken = true;
}

void DnsTcp::settle(Entry entry, Clock::time_point now) {
    Connection& connection = *entry;
    if (!connection.broken && !connection.upstream && !connection.to_upstream.empty()) connect_upstream(entry, now);
    if (connection.connected && !flush(connection.upstream.get(), connection.to_upstream)) connection.broken = true;
    const bool client_gone = !flush(connection.client.get(), connection.to_client);
    const bool never_asked = connection.client_done && !connection.upstream;
    if (client_gone || never_asked || (connection.broken && connection.to_client.empty())) return close(entry);
    if (connection.broken) close_upstream(connection);  // only the rest of the answer is left to write
    watch(connection);
}

void DnsTcp::watch(Connection& connection) {
    const bool more_queries = !connection.client_done && !connection.broken &&
                              connection.unread.size() + connection.to_upstream.size() < kMaxToUpstream;
    poller_.change(connection.client.get(), (more_queries ? EPOLLIN : 0U) |
                                                (connection.to_client.empty() ? 0U : static_cast<unsigned>(EPOLLOUT)));
    if (!connection.upstream) return;
    const bool must_write = !connection.connected || !connection.to_upstream.empty();
    const bool may_read = connection.connected && connection.to_client.size() < kMaxToClient;
    poller_.change(connection.upstream.get(),
                   (may_read ? EPOLLIN : 0U) | (must_write ? static_cast<unsigned>(EPOLLOUT) : 0U));
}

void DnsTcp::expire(Clock::time_point now) {
    if (resume_ && *resume_ <= now) {
        resume_.reset();
        poller_.change(socket_.get(), EPOLLIN);
    }
    for (Entry entry = connections_.begin(); entry != connections_.end();) {
        const Entry here = entry++;
        if (here->deadline > now) continue;
        if (here->connected || !here->upstream) {
            close(here);
        } else {
            next_server(here, now);
            settle(here, now);
        }
    }
}

std::optional<Clock::time_point> DnsTcp::deadline() const {
    std::optional<Clock::time_point> first = resume_;
    for (const Connection& connection : connections_) {
        first = first ? std::min(*first, connection.deadline) : connection.deadline;
    }
    return first;
}

void DnsTcp::close_upstream(Connection& connection) {
    connection.connected = false;
    if (!connection.upstream) return;
    by_socket_.erase(connection.upstream.get());
    poller_.remove(std::move(connection.upstream));
}

void DnsTcp::close(Entry entry) {
    close_upstream(*entry);
    by_socket_.erase(entry->client.get());
    poller_.remove(std::move(entry->client));
    limit_.leave(entry->box);
    connections_.erase(entry);
}

}  // namespace hutch::netns
