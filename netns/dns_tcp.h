#pragma once

#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "netns/dns_socket.h"
#include "netns/poller.h"

namespace hutch::netns {

/// DNS over TCP (RFC 7766): each connection of a box gets one to a name server, opened with the first whole query.
/// Queries are checked like those over UDP, answers go back as they come. A connection on which nothing moves is
/// closed.
class DnsTcp {
  public:
    static constexpr size_t kMaxConnections = 128;  ///< each is two file descriptors
    static constexpr unsigned kMaxPerBox = 8;
    static constexpr std::chrono::seconds kIdle{10};

    DnsTcp(Poller& poller, Upstreams& upstreams, const DnsClients& clients)
        : poller_(poller), upstreams_(upstreams), clients_(clients) {}

    Result<void> listen(uint16_t port);
    /// `fd` of the poller is ready for `events`. False when it is not one of ours.
    bool on_ready(int fd, uint32_t events, Clock::time_point now);
    void expire(Clock::time_point now);
    [[nodiscard]] std::optional<Clock::time_point> deadline() const;

  private:
    struct Connection {
        UniqueFd client;
        Ipv4 box;
        UniqueFd upstream;  ///< none before the first query
        size_t turn = 0;    ///< which server it goes to
        size_t last_turn = 0;
        bool connected = false;    ///< to the upstream
        bool client_done = false;  ///< it will send no more
        bool broken = false;       ///< close it, once `to_client` is written
        std::string unread;        ///< less than a whole query
        std::string to_upstream;
        std::string to_client;
        Clock::time_point deadline;
    };
    using Entry = std::list<Connection>::iterator;

    void accept_clients(Clock::time_point now);
    /// Closes the connection of the box that holds most on which nothing has moved for longest. False when `box` holds
    /// most.
    bool make_room_for(Ipv4 box);
    void on_client(Connection& connection, uint32_t events);
    void on_upstream(Entry entry, uint32_t events, Clock::time_point now);
    void read_client(Connection& connection);
    /// Moves whole queries on; one that is none breaks the connection.
    void take_queries(Connection& connection);
    void read_upstream(Connection& connection);
    void connect_upstream(Entry entry, Clock::time_point now);
    void next_server(Entry entry, Clock::time_point now);
    /// Acts on what the last event left: connects, closes, or waits for what is needed now.
    void settle(Entry entry, Clock::time_point now);
    void watch(Connection& connection);
    void close_upstream(Connection& connection);
    void close(Entry entry);

    Poller& poller_;
    Upstreams& upstreams_;
    DnsClients clients_;
    UniqueFd socket_;
    std::optional<Clock::time_point> resume_;  ///< out of descriptors: accept again then
    std::list<Connection> connections_;
    std::unordered_map<int, Entry> by_socket_;
    SourceLimit limit_{kMaxPerBox};
};

}  // namespace hutch::netns
